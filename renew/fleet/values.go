package fleet

import (
	"context"
	"time"

	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/view"
)

// Op returns the operation that sets a key to body, signed by this node, with the secret
// sealed to some nodes; a nil secret: none.
func (f *Fleet) Op(key string, body any, secret []byte, to []string) (engine.Op, error) {
	return f.signer.Op(key, 0, body, secret, to)
}

// Open returns what is in an entry that one of the nodes by has signed, and the secret
// sealed in it, nil if it has none:
//
//	order, secret, err := fleet.Open(f, entry, f.Order, document.Parse[document.Order])
func Open[T any](f *Fleet, e engine.Entry, by []string, parse func([]byte) (T, error)) (body T, secret []byte, err error) {
	body, m, err := view.Open(f.signer, e, by, parse)
	if err == nil && m.Sealed != nil {
		secret, err = f.Identity.Unseal(m.Sealed)
	}
	return body, secret, err
}

// SignedAt returns when an entry that one of the nodes by has signed says it was.
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
