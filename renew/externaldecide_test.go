package renew

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"keypaird/renew/backoff"
	"keypaird/renew/keypair"
)

func TestDecideExternal(t *testing.T) {
	external := Target{Name: "shop", Deploy: deployments("relayd"), Issuers: []Issuer{&External{keypair.Source{Chain: "/c", Key: "/k"}, "shop"}}}
	imported := func(change func(*Record)) Record {
		return with(func(r *Record) {
			r.CA, r.External = NameOfExternal, Imported{Mark: "m"}
			change(r)
		})
	}
	same := imported(func(*Record) {})
	failed := func(tried string, next time.Duration) Record {
		return imported(func(r *Record) {
			r.External = Imported{Mark: "before", FailedMark: tried}
			r.Orders = map[string]backoff.Attempt{NameOfExternal: {Failures: 1, Next: now.Add(next)}}
		})
	}
	again := func(at time.Duration) Record {
		return imported(func(r *Record) { r.External.Mark, r.External.ReplacedAt = "before", now.Add(at) })
	}
	for _, tt := range []struct {
		name string
		leaf *x509.Certificate
		rec  Record
		mode Mode
		want Action
		why  string
		at   time.Duration // from now
	}{
		{"never seen", nil, Record{}, Scheduled, Issue, "no certificate", 0},
		{"imported", ours(day, 200*day), same, Scheduled, None, "external", 199*day - 30*day},
		{"a third left", ours(70*day, 90*day), same, Scheduled, None, "external", 5 * day},
		{"a concern", ours(89*day, 90*day), same, Scheduled, None, "external", day},
		{"expired", ours(90*day, 90*day), same, Scheduled, Issue, "expired", 0},
		{"files changed", ours(day, 90*day), imported(func(r *Record) { r.External.Mark = "before" }), Scheduled, Issue, "its files changed", 0},
		{"of a CA until now", ours(day, 90*day), done(), Scheduled, Issue, "replaced by an external certificate", 0},
		{"forced", ours(day, 90*day), same, Force, Issue, "forced", 0},
		{"asked for nothing", ours(day, 90*day), same, Manual, None, "external", 74 * day},
		{"cannot be used, backoff runs", ours(day, 90*day), failed("m", time.Hour), Scheduled, Wait, "its files changed, but the last try failed", time.Hour},
		{"cannot be used, a person asks", ours(day, 90*day), failed("m", time.Hour), Manual, Issue, "its files changed", 0},
		{"cannot be used, backoff over", ours(day, 90*day), failed("m", 0), Scheduled, Issue, "its files changed", 0},
		{"could not be used, changed since", ours(day, 90*day), failed("half", time.Hour), Scheduled, Issue, "its files changed", 0},
		{"again, at once", ours(day, 90*day), again(0), Scheduled, Wait, "its files changed, but others were imported just now", time.Minute},
		{"again, in a minute", ours(day, 90*day), again(-time.Minute), Scheduled, Issue, "its files changed", 0},
		{"again, says a clock that was put back", ours(day, 90*day), again(time.Hour), Scheduled, Issue, "its files changed", 0},
		{"again, and a person asks", ours(day, 90*day), again(0), Manual, Issue, "its files changed", 0},
		{"again, and what was there has ended", ours(90*day, 90*day), again(0), Scheduled, Issue, "its files changed", 0},
		{"cannot be used, and the one before is not deployed", ours(day, 90*day), func() Record {
			r := failed("m", time.Hour)
			r.Deployments = nil
			return r
		}(), Scheduled, Deploy, "stored but not deployed", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := State{Leaf: tt.leaf, InUse: tt.leaf, Fingerprint: "f", Live: tt.leaf != nil, Record: tt.rec, Mark: "m"}
			got := Decide(now, external, s, tt.mode)
			if got.Action != tt.want || !strings.Contains(got.Why, tt.why) {
				t.Errorf("Decide = %v (%s), want %v (%s)", got.Action, got.Why, tt.want, tt.why)
			}
			if tt.at != 0 && !got.At.Equal(now.Add(tt.at)) {
				t.Errorf("at %v, want %v", got.At.Sub(now), tt.at)
			}
		})
	}
}
