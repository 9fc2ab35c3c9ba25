package notify

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"keypaird/renew"
	"keypaird/renew/backoff"
	"keypaird/renew/keypair"
	"keypaird/renew/renewtest"
)

func TestNotice(t *testing.T) {
	failed := func(n int) func(*renew.Record) {
		return func(r *renew.Record) {
			r.Orders = map[string]backoff.Attempt{"le": {Failures: n, At: now, Next: now.Add(time.Hour), Error: "no", Remedy: "mend it"}}
		}
	}
	refused := func(n int) func(*renew.Record) {
		return func(r *renew.Record) {
			r.Deployments["relayd"] = renew.Deployment{Deployed: "old", Attempt: backoff.Attempt{Failures: n, Error: "no such proxy"}}
		}
	}
	sent := func(d renew.Notified, more ...func(*renew.Record)) func(*renew.Record) {
		return func(r *renew.Record) {
			for _, change := range more {
				change(r)
			}
			r.Notified = d
		}
	}
	for _, tt := range []struct {
		name   string
		inUse  *x509.Certificate
		change func(*renew.Record)
		want   Kind // "": nothing is sent
		text   string
	}{
		{"ok", ours(day, 90*day), func(*renew.Record) {}, "", ""},
		{"two failures", ours(61*day, 90*day), failed(2), "", ""},
		{"three failures", ours(61*day, 90*day), failed(3), Failing, "no"},
		{"one failure, less than a quarter left", ours(68*day, 90*day), failed(1), Failing, "no"},
		{"three failures of what is not needed any more", ours(day, 90*day), failed(3), "", ""},
		{"three failures of the first certificate", nil, failed(3), Failing, "no"},
		{"two failures of the first certificate", nil, failed(2), "", ""},
		{"three failures to deploy", ours(day, 90*day), refused(3), Failing, "no such proxy"},
		{"half of what was left is gone", ours(76*day, 90*day), func(*renew.Record) {}, Expiring, "not replaced in time"},
		{"expired, and why", ours(91*day, 90*day), failed(9), Expiring, "not replaced in time: no"},
		{"revoked", ours(day, 90*day), func(r *renew.Record) { r.SetRevoked(keypair.Fingerprint(ours(day, 90*day)), now.Add(-time.Hour)) }, Expiring, "revoked at 2026-03-01 11:00Z"},
		{"six-day, half of what was left is gone", ours(5*day, 6*day), func(*renew.Record) {}, Expiring, "not replaced"},
		{"failing, notified an hour ago", ours(61*day, 90*day), sent(renew.Notified{Failing: now.Add(-time.Hour)}, failed(4)), "", ""},
		{"failing, notified a day ago", ours(61*day, 90*day), sent(renew.Notified{Failing: now.Add(-day)}, failed(4)), Failing, "no"},
		{"failing, notified in the future", ours(61*day, 90*day), sent(renew.Notified{Failing: now.Add(9 * day)}, failed(4)), Failing, "no"},
		{"expiring, notified that it fails", ours(80*day, 90*day), sent(renew.Notified{Failing: now.Add(-time.Hour)}, failed(4)), Expiring, "no"},
		{"recovered", ours(day, 90*day), sent(renew.Notified{Failing: now.Add(-time.Hour)}), Recovered, ""},
		{"recovered from expiring", ours(day, 90*day), sent(renew.Notified{Expiring: now.Add(-time.Hour)}), Recovered, ""},
		{"failing less often is not recovered", ours(61*day, 90*day), sent(renew.Notified{Failing: now.Add(-time.Hour)}, failed(1)), "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := renew.State{Leaf: tt.inUse, InUse: tt.inUse, Fingerprint: "f", Live: tt.inUse != nil, Record: with(tt.change)}
			n, ok := notice(now, chat, s)
			if ok != (tt.want != "") || ok && (n.Kind != tt.want || !strings.Contains(n.Error, tt.text)) {
				t.Errorf("notice = %+v, %v; want %q with %q", n, ok, tt.want, tt.text)
			}
		})
	}
}

var (
	now  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	chat = renew.Target{Name: "chat", Names: []string{"example.org", "*.example.org"}, KeyType: "ec256", Issuers: renewtest.CAs("le", "zerossl"), Deploy: renewtest.Servers("relayd")}
)

// ours is a certificate of chat of which so much has passed.
func ours(passed, life time.Duration) *x509.Certificate {
	return &x509.Certificate{
		NotBefore: now.Add(-passed), NotAfter: now.Add(life - passed), DNSNames: []string{"*.example.org", "example.org"},
		PublicKey: &ecdsa.PublicKey{Curve: elliptic.P256()},
	}
}

// with changes the record of a target for which all is done.
func with(change func(*renew.Record)) renew.Record {
	r := renew.Record{
		Ordering:    renew.Ordering{Fingerprint: "f", CA: "le"},
		Deployments: map[string]renew.Deployment{"relayd": {Deployed: "f", Verified: "f"}},
	}
	change(&r)
	return r
}

// What is no longer configured is nobody's but the operator's, who is notified
// before it ends, and of nothing else.
func TestNoticeUnconfigured(t *testing.T) {
	old := renew.Target{Name: "old", Names: []string{"example.org"}, KeyType: "ec256", Unconfigured: []string{"/etc/ssl/old.pem"}}
	failed := backoff.Attempt{Failures: 9, Error: "no"}
	for _, tt := range []struct {
		name   string
		inUse  *x509.Certificate
		record renew.Record
		want   Kind
	}{
		{"ends late, and failed when it was configured", ours(day, 90*day), renew.Record{Ordering: renew.Ordering{Orders: map[string]backoff.Attempt{"le": failed}}}, ""},
		{"it failed, and nobody renews it", ours(day, 90*day), renew.Record{Notified: renew.Notified{Failing: now.Add(-day)}}, ""},
		{"two weeks left", ours(76*day, 90*day), renew.Record{}, Expiring},
		{"two weeks left, notified an hour ago", ours(76*day, 90*day), renew.Record{Notified: renew.Notified{Expiring: now.Add(-time.Hour)}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, due := notice(now, old, renew.State{Leaf: tt.inUse, InUse: tt.inUse, Live: true, Fingerprint: "f", Record: tt.record})
			if due != (tt.want != "") || due && n.Kind != tt.want {
				t.Errorf("notice = %+v, %v; want %q", n, due, tt.want)
			}
			const text, remedy = "still deployed at /etc/ssl/old.pem", "keypaird forget -files old"
			if due && (!strings.Contains(n.Error, text) || !strings.Contains(n.Remedy, remedy)) {
				t.Errorf("notice = %+v, want %q and %q", n, text, remedy)
			}
		})
	}
}
