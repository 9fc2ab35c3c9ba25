package status

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"keypaird/renew"
)

// A told person remembers of which targets.
type told map[string]renew.Notice

func (p told) Notify(_ context.Context, notices []renew.Notice) error {
	for _, n := range notices {
		p[n.Target] = n
	}
	return nil
}

// What is said to need a person is what [notify] tells a person of.
func TestAttentionIsWhatPeopleAreTold(t *testing.T) {
	d := newDesk(t)
	doc := d.document()
	var targets []renew.Target
	for _, s := range d.subjects {
		targets = append(targets, s.Target)
	}
	yield := make(chan struct{})
	close(yield) // so that the pass does nothing but tell
	people := told{}
	pass := renew.Pass{
		Store: d.store, Crier: &renew.Crier{Notifier: people}, Yield: yield,
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
