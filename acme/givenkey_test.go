package acme_test

import (
	"context"
	"crypto"
	"errors"
	"testing"

	"keypaird/acme"
	"keypaird/acme/acmetest"
	"keypaird/renew/keypair"
)

func madeKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := keypair.NewKey(t.Context(), "ec256")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// certifies reports whether a pair has a key.
func certifies(pair *keypair.Pair, key crypto.Signer) bool {
	pub, ok := pair.Leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && pub.Equal(key.Public())
}

// An order for a given key: a renewal may have the key of the stored pair, and the
// order of a killed run is resumed.
func TestGivenKey(t *testing.T) {
	one, two := madeKey(t), madeKey(t)
	for _, tt := range []struct {
		name        string
		first, then crypto.Signer // asked for
		want        crypto.Signer // "one" is stored
		orders      int           // for the renewal
	}{
		{"the same key again", one, one, one, 1},
		{"the next key", two, two, two, 1},
		{"the next key, when the order with the same was finalized", one, two, one, 1},
		{"the same key, when the order with the next was finalized", two, one, one, 2},
		{"any key, when the order was for a given one", two, nil, two, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var tr traffic
			g := newFixture(t, acmetest.Options{Wrap: tr.wrap})
			req := g.request("a.test")
			req.Key = one
			stored, err := g.client(t).Obtain(t.Context(), req)
			if err != nil || !certifies(stored, one) {
				t.Fatalf("the first certificate: %v", err)
			}
			if err := req.Pending.Clear(); err != nil {
				t.Fatal(err)
			}
			before := tr.granted(acmetest.PathNewOrder)
			req.Current, req.Key = stored.Leaf, tt.first
			if _, err := g.client(t).Obtain(t.Context(), req); err != nil {
				t.Fatal(err)
			}
			// We are killed before it is stored.
			if is, err := acme.IsStored(req.Pending, stored.Leaf); is || err != nil {
				t.Fatalf("the order under way counts as stored: %t, %v", is, err)
			}
			req.Key, req.Forced = tt.then, tt.orders > 1 // the order log would refuse a third certificate
			pair, err := g.client(t).Obtain(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if n := tr.granted(acmetest.PathNewOrder) - before; n != tt.orders || !certifies(pair, tt.want) || pair.Leaf.Equal(stored.Leaf) {
				t.Errorf("%d orders, want %d; the right key %t", n, tt.orders, certifies(pair, tt.want))
			}
			if is, err := acme.IsStored(req.Pending, pair.Leaf); !is || err != nil {
				t.Errorf("the order that ended well does not count as stored: %v", err)
			}
		})
	}
}

// An operator who asks for a new key does not get that of an unfinished order, which may
// be why he asks.
func TestNewKey(t *testing.T) {
	one, two := madeKey(t), madeKey(t)
	var tr traffic
	g := newFixture(t, acmetest.Options{Wrap: tr.wrap})
	req := g.request("a.test")
	for _, key := range []crypto.Signer{one, two} { // the second is not stored: we are killed
		req.Key = key
		pair, err := g.client(t).Obtain(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if req.Current == nil {
			req.Current = pair.Leaf
			if err := req.Pending.Clear(); err != nil {
				t.Fatal(err)
			}
		}
	}
	req.Key, req.NewKey, req.Forced = nil, true, true
	pair, err := g.client(t).Obtain(t.Context(), req)
	if err != nil || certifies(pair, one) || certifies(pair, two) || tr.granted(acmetest.PathNewOrder) != 3 {
		t.Errorf("%v, the key of the stored pair %t, that of the order %t, %d orders", err, certifies(pair, one), certifies(pair, two), tr.granted(acmetest.PathNewOrder))
	}
}

// An order that was not finalized takes the key that is asked for now.
func TestGivenKeyChanges(t *testing.T) {
	one, two := madeKey(t), madeKey(t)
	var tr traffic
	g := newFixture(t, acmetest.Options{Wrap: tr.wrap})
	ctx, cancel := context.WithCancel(t.Context())
	req := g.request("a.test")
	req.Key = one
	req.Methods["a.test"] = acme.Method{Type: acme.HTTP01, Solver: solverFunc(func(context.Context, acme.Challenge, func(context.Context) error) error {
		cancel()
		return context.Canceled
	})}
	if _, err := g.client(t).Obtain(ctx, req); !errors.Is(err, context.Canceled) {
		t.Fatalf("error = %v, want context canceled", err)
	}
	req = g.request("a.test")
	req.Key = two
	pair, err := g.client(t).Obtain(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if n := tr.granted(acmetest.PathNewOrder); n != 1 || !certifies(pair, two) {
		t.Errorf("%d orders, the key asked for %t", n, certifies(pair, two))
	}
}
