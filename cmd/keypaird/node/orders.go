package node

import (
	"context"

	"keypaird/acme"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
)

// Orders returns a store of the order of a target at a CA, which is kept in files, too.
func (n *Node) Orders(target, ca string, files acme.OrderStore) acme.OrderStore {
	return orders{n, document.OrderKey(target, ca), files}
}

// orders implements acme.OrderStore: the file first, the engine second.
type orders struct {
	node  *Node
	key   string
	files acme.OrderStore
}

func (o orders) Load() ([]byte, error) { return o.files.Load() }

func (o orders) Save(data []byte, placed bool) error {
	if err := o.files.Save(data, placed); err != nil {
		return err
	}
	return o.node.commitOrder(context.Background(), o.key, data, placed)
}

// commitOrder gives an order under way to the nodes that may order.
func (n *Node) commitOrder(ctx context.Context, key string, data []byte, placed bool) error {
	if n.isAlone() {
		return nil
	}
	op, err := n.op(key, document.Order{Placed: placed, Sealed: n.sealed(key, keyOfOrder(data))}, data)
	if err != nil {
		return err
	}
	if err := n.commit(ctx, op); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.written[key] = true
	return nil
}

// Clear removes the order everywhere. It is published as a pair by then, or given up.
func (o orders) Clear() error {
	n := o.node
	n.mu.Lock()
	there := n.written[o.key]
	delete(n.written, o.key)
	n.mu.Unlock()
	if there {
		if err := n.commit(context.Background(), engine.Op{Key: o.key}); err != nil {
			n.o.Log.Warn("order not removed from the engine", "key", o.key, "err", err) // whoever sits next finds it ended
		}
	}
	return o.files.Clear()
}
