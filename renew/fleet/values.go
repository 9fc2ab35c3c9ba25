package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/envelope"
	"keypaird/renew/problem"
)

// values signs and opens the values of a node.
type values struct {
	identity *envelope.Identity
	members  envelope.Members
	id, node string
	order    []string
	clock    func() time.Time
}

// op returns the operation that sets key to body, signed, with the secret sealed to the
// nodes to; a nil secret: none.
func (v values) op(key string, serial uint64, body any, secret []byte, to []string) (engine.Op, error) {
	m := envelope.Message{Header: envelope.Header{Fleet: v.id, Key: key, Serial: serial, By: v.node, At: v.clock().UTC().Round(0)}}
	var err error
	if m.Body, err = json.Marshal(body); err != nil {
		return engine.Op{}, fmt.Errorf("encoding %s: %w", key, err)
	}
	if secret != nil {
		publics, err := v.members.Publics(to)
		if err != nil {
			return engine.Op{}, err
		}
		if m.Sealed, err = envelope.Seal(secret, publics); err != nil {
			return engine.Op{}, err
		}
	}
	value, err := v.identity.Sign(m)
	return engine.Op{Key: key, Value: value}, err
}

// open reads the value of an entry that one of the nodes by has signed, with parse.
func open[T any](v values, e engine.Entry, by []string, parse func([]byte) (T, error)) (T, envelope.Message, error) {
	var body T
	m, err := v.members.Open(e.Value, v.id, e.Key, by)
	if err != nil {
		return body, m, err
	}
	if body, err = parse(m.Body); err != nil {
		return body, m, problem.Newf("have the same version of keypaird on all nodes", "the engine's value of %q, signed by node %q: %w", e.Key, m.By, err)
	}
	return body, m, nil
}

// withOrderers returns nodes and the orderers, sorted, each once.
func (v values) withOrderers(nodes []string) []string {
	all := slices.Concat(nodes, v.order)
	slices.Sort(all)
	return slices.Compact(all)
}

// Op returns the operation that sets a key to body, signed by this node, with the secret
// sealed to some nodes; a nil secret: none.
func (f *Fleet) Op(key string, body any, secret []byte, to []string) (engine.Op, error) {
	return f.values.op(key, 0, body, secret, to)
}

// Open returns what is in an entry that one of the nodes by has signed, and the secret
// sealed in it, nil if it has none:
//
//	order, secret, err := fleet.Open(f, entry, f.Order, document.Parse[document.Order])
func Open[T any](f *Fleet, e engine.Entry, by []string, parse func([]byte) (T, error)) (body T, secret []byte, err error) {
	body, m, err := open(f.values, e, by, parse)
	if err == nil && m.Sealed != nil {
		secret, err = f.Identity.Unseal(m.Sealed)
	}
	return body, secret, err
}

// Fetch reads one key; false: there is none.
func Fetch[T any](ctx context.Context, f *Fleet, key string, by []string, parse func([]byte) (T, error)) (body T, secret []byte, found bool, err error) {
	e, err := readKey(ctx, f.Engine, key)
	if err != nil || e.Value == nil {
		return body, nil, false, err
	}
	body, secret, err = Open(f, e, by, parse)
	return body, secret, err == nil, err
}
