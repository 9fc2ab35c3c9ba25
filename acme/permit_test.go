package acme_test

import (
	"errors"
	"fmt"
	"testing"

	"keypaird/acme"
	"keypaird/acme/acmetest"
)

// orderRequests are the requests that place or finalize an order or have a challenge
// validated.
func orderRequests(tr *traffic) int {
	return tr.asked(acmetest.PathNewOrder) + tr.asked(acmetest.PathChallenge) + tr.asked(acmetest.PathFinalize)
}

// What is not permitted is not sent, is no failure of the CA, and goes on when it is
// permitted: with one order, and one certificate.
func TestPermit(t *testing.T) {
	over := errors.New("the term is over")
	for permitted := range 5 {
		t.Run(fmt.Sprint(permitted), func(t *testing.T) {
			var tr traffic
			g := newFixture(t, acmetest.Options{AuthzReuse: -1, NonceReject: -1, Wrap: tr.wrap})
			o, asked := g.options(t), 0
			o.Permit = func() error {
				if asked++; asked > permitted {
					return over
				}
				return nil
			}
			_, err := start(t, o).Obtain(t.Context(), g.request("a.test"))
			if !errors.Is(err, acme.ErrNotPermitted) || !errors.Is(err, over) || acme.TryNextCA(err) || acme.CAWide(err) {
				t.Errorf("error = %v, want one that is not the CA's fault", err)
			}
			// Twice for newOrder, once for the challenge, twice for finalize.
			if got, want := orderRequests(&tr), []int{0, 0, 1, 2, 2}[permitted]; got != want {
				t.Errorf("%d requests were sent, want %d", got, want)
			}
			if _, err := g.client(t).Obtain(t.Context(), g.request("a.test")); err != nil {
				t.Fatal(err)
			}
			if orders, certs := tr.granted(acmetest.PathNewOrder), tr.granted(acmetest.PathFinalize); orders != 1 || certs != 1 {
				t.Errorf("%d orders and %d certificates, want one of each", orders, certs)
			}
		})
	}
}

// A failingStore fails from one Save on.
type failingStore struct {
	acme.OrderStore
	left int // that succeed
}

var errNotSaved = errors.New("the other copy could not be written")

func (s *failingStore) Save(data []byte, placed bool) error {
	if s.left--; s.left < 0 {
		return errNotSaved
	}
	return s.OrderStore.Save(data, placed)
}

// After a Save that failed, the request that it goes before is not sent, and no other.
func TestOrderIsNotSaved(t *testing.T) {
	for _, tt := range []struct {
		keyType string
		saves   int // that succeed
		placed  int // orders; afterwards nothing is validated or finalized
	}{
		{"ec256", 0, 0},
		{"ec256", 1, 1},
		{"rsa2048", 0, 0},
		{"rsa2048", 1, 1},
		{"rsa2048", 2, 1}, // the order is saved without its key while that is made
	} {
		for _, reuse := range []int{-1, 100} {
			t.Run(fmt.Sprint(tt.keyType, " ", tt.saves, ", names validated before: ", reuse > 0), func(t *testing.T) {
				var tr traffic
				g := newFixture(t, acmetest.Options{AuthzReuse: reuse, Wrap: tr.wrap})
				if reuse > 0 {
					before := g.request("a.test")
					before.Pending = acme.OrderDir(t.TempDir())
					if _, err := g.client(t).Obtain(t.Context(), before); err != nil {
						t.Fatal(err)
					}
				}
				orders, finalized := tr.asked(acmetest.PathNewOrder), tr.asked(acmetest.PathFinalize)
				req := g.request("a.test")
				req.KeyType, req.Pending = tt.keyType, &failingStore{req.Pending, tt.saves}
				_, err := g.client(t).Obtain(t.Context(), req)
				if !errors.Is(err, errNotSaved) || acme.TryNextCA(err) || acme.CAWide(err) {
					t.Errorf("error = %v, want that of the store", err)
				}
				if got := tr.asked(acmetest.PathNewOrder) - orders; got != tt.placed {
					t.Errorf("%d orders were placed, want %d", got, tt.placed)
				}
				if got := tr.asked(acmetest.PathFinalize) - finalized; got != 0 {
					t.Errorf("%d were finalized, want none", got)
				}
				if tt.saves < 2 && reuse < 0 && tr.asked(acmetest.PathChallenge) > 0 {
					t.Error("a challenge was validated before the order was saved")
				}
			})
		}
	}
}
