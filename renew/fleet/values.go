package fleet

import (
	"context"
	"errors"
	"strings"
	"time"

	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/view"
)

// Op returns the operation that sets a key to body, signed by this node, with the secret
// sealed to some nodes; a nil secret: none.
func (f *Fleet) Op(key string, body any, secret []byte, to []string) (engine.Op, error) {
	return f.signer.Op(key, 0, body, secret, to)
}

// Open returns the content of an entry that one of the nodes in by has signed, and the
// secret sealed in it, nil if it has none:
//
//	order, secret, err := fleet.Open(f, entry, f.Order, document.Parse[document.Order])
func Open[T any](f *Fleet, e engine.Entry, by []string, parse func([]byte) (T, error)) (body T, secret []byte, err error) {
	body, m, err := view.Open(f.signer, e, by, parse)
	if err == nil && m.Sealed != nil {
		secret, err = f.Identity.Unseal(m.Sealed)
	}
	return body, secret, err
}

// SignedAt returns the time at which one of the nodes in by has signed an entry.
func SignedAt(f *Fleet, e engine.Entry, by []string) (time.Time, error) {
	m, err := f.Members.Open(e.Value, f.ID, e.Key, by)
	return m.At, err
}

// Fetch reads one key; false: there is none.
func Fetch[T any](ctx context.Context, f *Fleet, key string, by []string, parse func([]byte) (T, error)) (body T, secret []byte, found bool, err error) {
	e, err := engine.ReadKey(ctx, f.Engine, key)
	if err != nil || e.Value == nil {
		return body, nil, false, err
	}
	body, secret, err = Open(f, e, by, parse)
	return body, secret, err == nil, err
}

// readable is what a node reads that may not order. It writes only about itself.
var readable = []document.Kind{document.KindFleet, document.KindSeat, document.KindLive, document.KindPair, document.KindToken}

// CheckRights reports whether a node may read and write what it needs in the engine, an
// orderer all of it. Nothing is written: the commit has a condition that never holds.
func CheckRights(ctx context.Context, e engine.Engine, node string, orders bool) error {
	conditions := []engine.Condition{{Key: document.SeatKey, Value: []byte("-")}}
	do := []engine.Op{{Key: document.NodePrefix(node) + "rights", Value: []byte("-")}}
	kinds := readable
	if orders {
		kinds = document.Kinds
	} else {
		do = append(do, engine.Op{Key: document.AskPrefix(node) + "rights", Value: []byte("-")})
	}
	for _, kind := range kinds {
		key := kind.Prefix()
		if strings.HasSuffix(key, "/") {
			key += "rights"
		}
		conditions = append(conditions, engine.Condition{Key: key})
		if orders && kind != document.KindNode {
			do = append(do, engine.Op{Key: key, Value: []byte("-")})
		}
	}
	ctx, cancel := context.WithTimeout(ctx, engine.Timeout)
	defer cancel()
	_, err := e.Commit(ctx, conditions, do)
	if _, ok := errors.AsType[*engine.ConditionError](err); ok {
		return nil
	}
	return err
}
