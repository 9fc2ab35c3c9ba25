package status

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"testing"
	"time"

	"keypaird/renew"
	"keypaird/renew/keypair"
)

// A told person remembers of which targets.
type told map[string]renew.Notice

func (p told) Notify(_ context.Context, notices []renew.Notice) error {
	for _, n := range notices {
		p[n.Target] = n
	}
	return nil
}

// A useless CA and proxy do nothing: what failed often enough has failed before.
type useless struct{}

var errUseless = errors.New("out of order")

func (useless) Obtain(context.Context, renew.Order) (*keypair.Pair, error) { return nil, errUseless }

func (useless) Settle(renew.Target, *x509.Certificate) error { return nil }

func (useless) Deploy(_ context.Context, _ string, changes []renew.Change) ([]renew.Outcome, error) {
	return make([]renew.Outcome, len(changes)), errUseless // all taken back
}

// What is said to need a person is what [notify] tells a person of.
func TestAttentionIsWhatPeopleAreTold(t *testing.T) {
	d := newDesk(t)
	doc := d.document()
	var targets []renew.Target
	for _, s := range d.subjects {
		targets = append(targets, s.Target)
	}
	people := told{}
	pass := renew.Pass{
		Store: d.store, Obtainer: useless{}, Deployer: useless{}, Crier: &renew.Crier{Notifier: people},
		Clock: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
	}
	pass.Run(t.Context(), targets)
	sooner := map[string]bool{ // who looks is told more than who is woken
		"missing": true, // a first order that failed once
		"damaged": true, // files that another order replaces
	}
	for _, target := range doc.Targets {
		n, is := people[target.Name]
		if says := target.Attention != ""; says != is && !sooner[target.Name] {
			t.Errorf("%s: the page says %q, and told is %q %s", target.Name, target.Attention, n.Kind, n.Error)
		}
	}
}
