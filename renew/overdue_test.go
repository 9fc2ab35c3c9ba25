package renew

import (
	"testing"
	"time"

	"keypaird/renew/keypair"
	"keypaird/renew/renewalinfo"
)

// A certificate in use is overdue when half of what was left when it was due is
// gone, whoever said when it was due; never before.
func TestOverdueAt(t *testing.T) {
	suggested := func(chosen time.Duration) func(*State) {
		return func(s *State) {
			s.Record.RenewalInfo = renewalinfo.Info{Fingerprint: "f", Start: now, End: now, Chosen: s.Leaf.NotBefore.Add(chosen)}
		}
	}
	successor := func(made time.Duration) func(*State) {
		return func(s *State) {
			s.Live, s.Leaf, s.Fingerprint = false, ours(-made, 90*day), "next"
		}
	}
	for _, tt := range []struct {
		name   string
		life   time.Duration
		change func(*State)
		want   time.Duration // after its begin
	}{
		{"90 days, no suggestion", 90 * day, func(*State) {}, 75 * day},
		{"six days, no suggestion", 6 * day, func(*State) {}, 108 * time.Hour},
		{"six days, the CA wants it past three quarters", 6 * day, suggested(112 * time.Hour), 128 * time.Hour},
		{"six days, the CA wants it at its very end", 6 * day, suggested(143 * time.Hour), 6 * day * 9 / 10},
		{"90 days, the CA wants it at once", 90 * day, suggested(10 * day), 50 * day},
		{"suggestion for another one", 90 * day, func(s *State) { s.Record.RenewalInfo = renewalinfo.Info{Fingerprint: "old", Chosen: now} }, 75 * day},
		{"six days, replaced late as the CA wanted, and not deployed", 6 * day, successor(112 * time.Hour), 128 * time.Hour},
		{"90 days, revoked", 90 * day, func(s *State) { s.Record.SetRevoked(keypair.Fingerprint(s.InUse), s.InUse.NotBefore.Add(9*day)) }, 9 * day},
		{"90 days, revoked and replaced, not deployed", 90 * day, func(s *State) {
			s.InUse.Raw = []byte("revoked")
			s.Record.SetRevoked(keypair.Fingerprint(s.InUse), s.InUse.NotBefore.Add(9*day))
			successor(9 * day)(s)
		}, 9 * day},
		{"90 days, replaced early", 90 * day, successor(9 * day), 75 * day},
		{"90 days, replaced much too late", 90 * day, successor(88 * day), 81 * day},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inUse := ours(0, tt.life)
			s := State{Leaf: inUse, InUse: inUse, Live: true, Fingerprint: "f"}
			tt.change(&s)
			got := s.OverdueAt(chat)
			if want := inUse.NotBefore.Add(tt.want); !got.Equal(want) {
				t.Errorf("overdue after %v, want %v", got.Sub(inUse.NotBefore), tt.want)
			}
			if s.Live && got.Before(s.Due()) {
				t.Errorf("overdue at %v, due at %v", got, s.Due())
			}
		})
	}
	if !(State{}).OverdueAt(chat).IsZero() {
		t.Error("nothing in use is overdue")
	}
	bought := target(func(t *Target) { t.Issuers = []Issuer{&External{Source: keypair.Source{Chain: "/c", Key: "/k"}}} })
	inUse := ours(0, 365*day)
	if got := (State{Leaf: inUse, InUse: inUse, Live: true}).OverdueAt(bought); !got.Equal(inUse.NotAfter.Add(-30 * day)) {
		t.Errorf("external one overdue at %v", got)
	}
}
