package view

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/envelope"
	"keypaird/renew/problem"
)

// A Signer signs and opens the values of a node.
type Signer struct {
	Identity *envelope.Identity
	Members  envelope.Members
	ID       string // of the fleet
	Node     string
	Order    []string // nodes that may order
	Clock    func() time.Time
}

// Op returns the operation that sets key to body, signed, with the secret sealed to the
// nodes to; a nil secret: none.
func (s Signer) Op(key string, serial uint64, body any, secret []byte, to []string) (engine.Op, error) {
	m := envelope.Message{Header: envelope.Header{Fleet: s.ID, Key: key, Serial: serial, By: s.Node, At: s.Clock().UTC().Round(0)}}
	var err error
	if m.Body, err = json.Marshal(body); err != nil {
		return engine.Op{}, fmt.Errorf("encoding %s: %w", key, err)
	}
	if secret != nil {
		publics, err := s.Members.Publics(to)
		if err != nil {
			return engine.Op{}, err
		}
		if m.Sealed, err = envelope.Seal(secret, publics); err != nil {
			return engine.Op{}, err
		}
	}
	value, err := s.Identity.Sign(m)
	return engine.Op{Key: key, Value: value}, err
}

// Open reads the value of an entry that one of the nodes by has signed, with parse.
func Open[T any](s Signer, e engine.Entry, by []string, parse func([]byte) (T, error)) (T, envelope.Message, error) {
	var body T
	m, err := s.Members.Open(e.Value, s.ID, e.Key, by)
	if err != nil {
		return body, m, err
	}
	if body, err = parse(m.Body); err != nil {
		return body, m, problem.Newf("have the same version of keypaird on all nodes", "the engine's value of %q, signed by node %q: %w", e.Key, m.By, err)
	}
	return body, m, nil
}

// WithOrderers returns nodes and the orderers, sorted, each once.
func (s Signer) WithOrderers(nodes []string) []string {
	all := slices.Concat(nodes, s.Order)
	slices.Sort(all)
	return slices.Compact(all)
}
