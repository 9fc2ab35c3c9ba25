package node

import (
	"context"
	"encoding/json"
	"slices"

	"keypaird/acme"
	"keypaird/renew"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/keypair"
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

// Beside each private key that is sealed in the engine stand the nodes that could ever open
// it: if one of them is compromised, the key is replaced. They go with the key, from an order
// or the next key to the pair.

// A holder says who could open the private key that is sealed at a key of the engine.
type holder struct {
	sum   string // of the private key
	nodes []string
}

// noteHolders notes who could open a private key, as the engine has it.
func (n *Node) noteHolders(at string, key []byte, s document.Sealed) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.holders[at] = holder{sumOf(key), s.Nodes}
}

// sealed returns who can open a private key once it is sealed to the nodes that may order, or
// could before.
func (n *Node) sealed(at string, key []byte) (s document.Sealed) {
	if len(key) == 0 {
		return s
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s.Nodes = slices.Clone(n.o.Fleet.Order)
	if h := n.holders[at]; h.sum == sumOf(key) {
		s.Nodes = append(s.Nodes, h.nodes...)
	}
	slices.Sort(s.Nodes)
	s.Nodes = slices.Compact(s.Nodes)
	n.holders[at] = holder{sumOf(key), s.Nodes}
	return s
}

// had returns the nodes that could open the key of a pair before it becomes a release.
func (n *Node) had(target string, p *keypair.Pair) (nodes []string) {
	at := []string{document.RecordKey(target)}
	for _, ca := range n.o.CAs[target] {
		at = append(at, document.OrderKey(target, ca))
	}
	sum := sumOf(p.Key())
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, key := range at {
		if h := n.holders[key]; h.sum == sum {
			nodes = append(nodes, h.nodes...)
		}
	}
	return nodes
}

// keyOfOrder returns the private key in order.json; none: it is being made.
func keyOfOrder(data []byte) []byte {
	var order struct {
		Key string `json:"key"`
	}
	_ = json.Unmarshal(data, &order)
	return []byte(order.Key)
}

// replaceNextKey has the next pass replace the next key of a target.
func (n *Node) replaceNextKey(target string, key []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.compromised[target] = sumOf(key)
}

// dropNextKey removes the next key of a target if it is to be replaced. The pass then makes
// another one, and its TLSA record is shown in place of the old one.
func (n *Node) dropNextKey(target string) error {
	n.mu.Lock()
	sum, known := n.compromised[target]
	n.mu.Unlock()
	if !known {
		return nil
	}
	key, err := n.nextKey(target)
	if err != nil || key == nil || sumOf(key) != sum {
		return err
	}
	n.o.Log.Info("next key dropped", "cert", target, "why", "a node that was removed had it")
	return n.o.Store.RemoveAll(target, renew.NextKeyFile)
}
