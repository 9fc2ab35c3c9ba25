package status

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"keypaird/renew"
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

// The page requires action of the operator where [notify] notifies him, and nowhere
// else.
func TestActionRequiredIsNotified(t *testing.T) {
	d := newDesk(t)
	doc := d.document()
	clock := func() time.Time { return now }
	sent, records, log := inbox{}, new(renew.Records), slog.New(slog.DiscardHandler)
	pass := renew.Pass{Store: d.store, Records: records, Clock: clock, Log: log}
	report := pass.Run(t.Context(), d.targets)
	notifier := notify.Notifier{Sender: sent, Store: d.store, Records: records, Clock: clock, Log: log}
	notifier.Notify(t.Context(), &report)
	for _, target := range doc.Targets {
		n, ok := sent[target.Name]
		if required := target.ActionRequired != ""; required != ok && target.Name != "damaged" { // files that another order replaces
			t.Errorf("%s: action required %q, and sent %q %s", target.Name, target.ActionRequired, n.Kind, n.Error)
		}
	}
}
