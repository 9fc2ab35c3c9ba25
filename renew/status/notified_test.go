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
	"keypaird/renew/notify"
)

// An inbox keeps the notices sent, by target.
type inbox map[string]notify.Notice

func (p inbox) Send(_ context.Context, notices []notify.Notice) error {
	for _, n := range notices {
		p[n.Target] = n
	}
	return nil
}

// A useless CA and proxy do nothing: what failed often enough has failed before.
type useless struct{}

var errUseless = errors.New("out of order")

func (useless) Obtain(context.Context, renew.Order) (*keypair.Pair, error) { return nil, errUseless }

func (useless) ForgetOrder(renew.Target, *x509.Certificate) error { return nil }

func (useless) Deploy(_ context.Context, _ string, changes []renew.Change) ([]renew.Outcome, error) {
	return make([]renew.Outcome, len(changes)), errUseless // all taken back
}

// The page requires action of the operator where [notify] notifies him, and nowhere
// else.
func TestActionRequiredIsNotified(t *testing.T) {
	d := newDesk(t)
	doc := d.document()
	var targets []renew.Target
	for _, s := range d.subjects {
		targets = append(targets, s.Target)
	}
	clock := func() time.Time { return now }
	sent, records, log := inbox{}, new(renew.Records), slog.New(slog.DiscardHandler)
	pass := renew.Pass{Store: d.store, Records: records, Obtainer: useless{}, Deployer: useless{}, Clock: clock, Log: log}
	report := pass.Run(t.Context(), targets)
	notifier := notify.Notifier{Sender: sent, Store: d.store, Records: records, Clock: clock, Log: log}
	notifier.Notify(t.Context(), &report)
	for _, target := range doc.Targets {
		n, ok := sent[target.Name]
		if required := target.ActionRequired != ""; required != ok && target.Name != "damaged" { // files that another order replaces
			t.Errorf("%s: action required %q, and sent %q %s", target.Name, target.ActionRequired, n.Kind, n.Error)
		}
	}
}
