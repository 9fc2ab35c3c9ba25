package renew

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"keypaird/renew/backoff"
	"keypaird/renew/keypair"
	"keypaird/renew/renewalinfo"
)

const day = 24 * time.Hour

var (
	now  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	chat = Target{Name: "chat", Names: []string{"example.org", "*.example.org"}, KeyType: "ec256", Issuers: cas("le", "zerossl"), Deploy: deployments("relayd")}
)

// leaf is a certificate of which so much has passed.
func leaf(passed, life time.Duration, names ...string) *x509.Certificate {
	c := &x509.Certificate{
		NotBefore: now.Add(-passed), NotAfter: now.Add(life - passed),
		PublicKey: &ecdsa.PublicKey{Curve: elliptic.P256()},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, name)
		}
	}
	return c
}

func ours(passed, life time.Duration) *x509.Certificate {
	return leaf(passed, life, "*.example.org", "example.org")
}

// done is the record of a target for which all is done.
func done() Record {
	return Record{
		Ordering:    Ordering{Fingerprint: "f", CA: "le"},
		Deployments: map[string]Deployment{"relayd": {Deployed: "f", Verified: "f"}},
	}
}

// with changes the record of a target for which all is done.
func with(change func(*Record)) Record {
	r := done()
	change(&r)
	return r
}

func target(change func(*Target)) Target {
	t := chat
	change(&t)
	return t
}

func TestDecide(t *testing.T) {
	rsaLeaf := ours(day, 90*day)
	rsaLeaf.PublicKey = &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047)}
	failedOrder := func(next time.Duration) Record {
		return with(func(r *Record) { r.Orders = map[string]backoff.Attempt{"le": {Failures: 3, Next: now.Add(next)}} })
	}
	failedDeploy := func(deployed, verified string, next time.Duration) Record {
		return with(func(r *Record) {
			r.Deployments["relayd"] = Deployment{Deployed: deployed, Verified: verified, Attempt: backoff.Attempt{Failures: 1, Next: now.Add(next)}}
		})
	}
	suggested := func(chosen time.Duration) Record {
		return with(func(r *Record) {
			r.RenewalInfo = renewalinfo.Info{Fingerprint: "f", Start: now, End: now.Add(time.Hour), Chosen: now.Add(chosen)}
		})
	}
	failedAt := func(failures int, tryNextCA bool) Record {
		return with(func(r *Record) {
			r.Orders = map[string]backoff.Attempt{"le": {Failures: failures, TryNextCA: tryNextCA, Next: now.Add(time.Hour)}}
		})
	}
	revokedLeaf := ours(day, 90*day)
	revokedLeaf.Raw = []byte("revoked")
	revoked := with(func(r *Record) { r.SetRevoked(keypair.Fingerprint(revokedLeaf), now.Add(-time.Hour)) })
	revokedAndFailed := revoked
	revokedAndFailed.Orders = map[string]backoff.Attempt{"le": {Failures: 1, TryNextCA: true, Next: now.Add(time.Hour)}}
	both := target(func(t *Target) { t.Deploy = deployments("relayd", "postfix") })
	otherKey := target(func(t *Target) { t.KeyType = "ec384" })
	for _, tt := range []struct {
		name    string
		target  Target
		leaf    *x509.Certificate
		rec     Record
		mode    Mode
		notLive bool
		want    Action
		why     string
	}{
		{"first run", chat, nil, Record{}, Scheduled, false, Issue, "no certificate"},
		{"fresh", chat, ours(day, 90*day), done(), Scheduled, false, None, "not due"},
		{"a third left", chat, ours(60*day, 90*day), done(), Scheduled, false, Issue, "due"},
		{"a little more than a third left", chat, ours(60*day-time.Second, 90*day), done(), Scheduled, false, None, ""},
		{"six-day, half gone", chat, ours(3*day, 6*day), done(), Scheduled, false, Issue, "due"},
		{"six-day, not half gone", chat, ours(3*day-time.Second, 6*day), done(), Scheduled, false, None, ""},
		{"expired", chat, ours(90*day, 90*day), done(), Scheduled, false, Issue, "expired"},
		{"clock before the certificate", chat, ours(-day, 90*day), done(), Scheduled, false, None, ""},

		{"a name more", target(func(t *Target) { t.Names = append([]string{"a.test"}, chat.Names...) }), ours(day, 90*day), done(), Scheduled, false, Issue, "names changed"},
		{"a name less", target(func(t *Target) { t.Names = chat.Names[:1] }), ours(day, 90*day), done(), Scheduled, false, Issue, "names changed"},
		{"names in another order", target(func(t *Target) { t.Names = []string{"*.example.org", "example.org"} }), ours(day, 90*day), done(), Scheduled, false, None, ""},
		{"names in another case", target(func(t *Target) { t.Names = []string{"EXAMPLE.org", "*.Example.org"} }), ours(day, 90*day), done(), Scheduled, false, None, ""},
		{"certificate in another case, with a name twice", chat, leaf(day, 90*day, "Example.ORG", "*.example.org", "example.org"), done(), Scheduled, false, None, ""},
		{"addresses in other forms", target(func(t *Target) { t.Names = []string{"2001:DB8:0:0::1", "::ffff:192.0.2.1"} }), leaf(day, 90*day, "192.0.2.1", "2001:db8::1"), done(), Scheduled, false, None, ""},
		{"an address for a name", target(func(t *Target) { t.Names = []string{"192.0.2.1"} }), ours(day, 90*day), done(), Scheduled, false, Issue, "names changed"},
		{"key type changed", otherKey, ours(day, 90*day), done(), Scheduled, false, Issue, "key type changed"},
		{"from rsa2048 to ec256", chat, rsaLeaf, done(), Scheduled, false, Issue, "key type changed"},
		{"rsa2048 as configured", target(func(t *Target) { t.KeyType = "rsa2048" }), rsaLeaf, done(), Scheduled, false, None, ""},
		{"CA removed", target(func(t *Target) { t.Issuers = cas("zerossl") }), ours(day, 90*day), done(), Scheduled, false, Issue, "issued by le, which sign_with no longer names"},
		{"CA no longer the first", target(func(t *Target) { t.Issuers = cas("zerossl", "le") }), ours(day, 90*day), done(), Scheduled, false, None, ""},
		{"profile changed", target(func(t *Target) { t.Profile = "shortlived" }), ours(day, 90*day), done(), Scheduled, false, Issue, "profile changed"},
		{"profile and CA changed, but the record is of an older version", target(func(t *Target) { t.Issuers, t.Profile = cas("zerossl"), "shortlived" }),
			ours(day, 90*day), with(func(r *Record) { r.Fingerprint = "older" }), Scheduled, false, None, ""},
		{"forced", chat, ours(day, 90*day), done(), Force, false, Issue, "forced"},
		{"a new key", target(func(t *Target) { t.NewKey = true }), ours(day, 90*day), done(), Manual, false, Issue, "a new key was asked for"},

		{"order failed, backoff runs", chat, ours(61*day, 90*day), failedOrder(time.Hour), Scheduled, false, Wait, "the last try failed"},
		{"order failed, backoff over", chat, ours(61*day, 90*day), failedOrder(0), Scheduled, false, Issue, "due"},
		{"order failed, a person asks", chat, ours(61*day, 90*day), failedOrder(time.Hour), Manual, false, Issue, "due"},
		{"order failed by a clock in the far future", chat, ours(61*day, 90*day), failedOrder(10 * 365 * day), Scheduled, false, Issue, "due"},
		{"expired, backoff runs", chat, ours(91*day, 90*day), failedOrder(time.Hour), Scheduled, false, Wait, "the last try failed"},

		{"revoked", chat, revokedLeaf, revoked, Scheduled, false, Issue, "it was revoked at 2026-03-01 11:00Z"},
		{"another was revoked", chat, ours(day, 90*day), revoked, Scheduled, false, None, "not due"},
		{"revoked, the order failed", target(func(t *Target) { t.Issuers = cas("le") }), revokedLeaf, revokedAndFailed, Scheduled, false, Wait, "it was revoked at 2026-03-01 11:00Z, but the last try failed"},
		{"revoked, the first CA failed once", chat, revokedLeaf, revokedAndFailed, Scheduled, false, Issue, "it was revoked at 2026-03-01 11:00Z"},
		{"the CA wants it earlier", chat, ours(day, 90*day), suggested(-time.Minute), Scheduled, false, Issue, "its CA asks for it"},
		{"the CA wants it later", chat, ours(61*day, 90*day), suggested(5 * day), Scheduled, false, None, "not due"},
		{"the instant chosen has come", chat, ours(61*day, 90*day), suggested(0), Scheduled, false, Issue, "due"},
		{"the CA wants it never", chat, ours(72*day, 90*day), suggested(1000 * day), Scheduled, false, Issue, "due"},
		{"the CA spoke of another certificate", chat, ours(day, 90*day), with(func(r *Record) {
			r.RenewalInfo = renewalinfo.Info{Fingerprint: "old", Start: now, End: now, Chosen: now.Add(-day)}
		}), Scheduled, false, None, "not due"},
		{"the CA asks, and backoff runs", chat, ours(day, 90*day), with(func(r *Record) {
			r.RenewalInfo = renewalinfo.Info{Fingerprint: "f", Chosen: now.Add(-day)}
			r.Orders = map[string]backoff.Attempt{"le": {Failures: 1, Next: now.Add(time.Hour)}}
		}), Scheduled, false, Wait, "the last try failed"},
		{"the first CA failed twice", chat, ours(61*day, 90*day), failedAt(2, true), Scheduled, false, Wait, "the last try failed"},
		{"the first CA keeps failing", chat, ours(61*day, 90*day), failedAt(3, true), Scheduled, false, Issue, "due"},
		{"the first CA failed once, and time runs short", chat, ours(80*day, 90*day), failedAt(1, true), Scheduled, false, Issue, "due"},
		{"the name cannot be proven anywhere", chat, ours(80*day, 90*day), failedAt(9, false), Scheduled, false, Wait, "the last try failed"},

		{"stored, not deployed", chat, ours(day, 90*day), with(func(r *Record) { r.Deployments = nil }), Scheduled, true, Deploy, "stored but not deployed"},
		{"reload failed, backoff runs", chat, ours(day, 90*day), failedDeploy("old", "old", time.Minute), Scheduled, true, Wait, "deployment to relayd failed"},
		{"reload failed, backoff over", chat, ours(day, 90*day), failedDeploy("old", "old", 0), Scheduled, true, Deploy, "stored but not deployed"},
		{"reload failed, a person asks", chat, ours(day, 90*day), failedDeploy("old", "old", time.Minute), Manual, true, Deploy, "stored but not deployed"},
		{"not verified, backoff runs", chat, ours(day, 90*day), failedDeploy("f", "old", time.Minute), Scheduled, false, Wait, "deployment to relayd failed"},
		{"not verified, backoff over", chat, ours(day, 90*day), failedDeploy("f", "old", 0), Scheduled, false, Deploy, "deployed to relayd but not verified"},
		{"a deployment more", both, ours(day, 90*day), done(), Scheduled, false, Deploy, "stored but not deployed"},
		{"one deployment waits, the other does not", both, ours(day, 90*day), failedDeploy("old", "old", time.Minute), Scheduled, false, Deploy, "stored but not deployed"},
		{"verified, but not live after a crash", chat, ours(day, 90*day), done(), Scheduled, true, Deploy, "stored but not live"},
		{"nothing to deploy to, not live", target(func(t *Target) { t.Deploy = nil }), ours(day, 90*day), done(), Scheduled, true, Deploy, "stored but not live"},
		{"nothing to deploy to, live", target(func(t *Target) { t.Deploy = nil }), ours(day, 90*day), Record{}, Scheduled, false, None, ""},
		{"deployment configured in another way", target(func(t *Target) { t.Deploy = deploymentsAs(DeploySpec{ConfigHash: "new"}, "relayd") }),
			ours(day, 90*day), done(), Scheduled, false, Deploy, "deployment relayd was changed"},
		{"a deployed file is gone", target(func(t *Target) {
			t.Deploy = deploymentsAs(DeploySpec{Inspection: Inspection{Differs: "/x.crt is gone"}}, "relayd")
		}),
			ours(day, 90*day), done(), Scheduled, false, Deploy, "deployment relayd: /x.crt is gone"},
		{"a deployed file is gone, and could not be put back", target(func(t *Target) {
			t.Deploy = deploymentsAs(DeploySpec{Inspection: Inspection{Differs: "/x.crt is gone"}}, "relayd")
		}),
			ours(day, 90*day), failedDeploy("f", "f", time.Minute), Scheduled, false, Wait, "deployment to relayd failed"},
		{"a new certificate, configured in another way", target(func(t *Target) { t.Deploy = deploymentsAs(DeploySpec{ConfigHash: "new"}, "relayd") }),
			ours(day, 90*day), failedDeploy("old", "old", 0), Scheduled, true, Deploy, "stored but not deployed"},
		{"record lost", chat, ours(day, 90*day), Record{}, Scheduled, false, Deploy, "stored but not deployed"},

		{"due, the CA is down, and what is stored is not deployed", chat, ours(61*day, 90*day), with(func(r *Record) {
			r.Orders, r.Deployments = map[string]backoff.Attempt{"le": {Failures: 1, Next: now.Add(time.Hour)}}, nil
		}), Scheduled, true, Deploy, "stored but not deployed"},
		{"expired, the CA is down, and what is stored is not deployed", chat, ours(91*day, 90*day), with(func(r *Record) {
			r.Orders, r.Deployments = map[string]backoff.Attempt{"le": {Failures: 1, Next: now.Add(time.Hour)}}, nil
		}), Scheduled, true, Wait, "the last try failed"},
		{"due and not deployed: one reload less", chat, ours(61*day, 90*day), with(func(r *Record) { r.Deployments = nil }), Scheduled, true, Issue, "due"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := State{Leaf: tt.leaf, Version: "v000001", Fingerprint: "f", Live: !tt.notLive, Record: tt.rec, Specs: specs(tt.target)}
			if s.Live {
				s.InUse = tt.leaf
			}
			got := Decide(now, tt.target, s, tt.mode)
			if got.Action != tt.want || !strings.Contains(got.Why, tt.why) {
				t.Errorf("Decide = %v (%s), want %v (%s)", got.Action, got.Why, tt.want, tt.why)
			}
			if got.Action == Wait && !got.At.After(now) || got.Action == None && !got.At.Equal(s.Due()) {
				t.Errorf("at %v", got.At)
			}
		})
	}
}

// A CA whose limit is reached is not asked. The next one is asked instead only when
// time runs short.
func TestDecideWithLimits(t *testing.T) {
	otherKey := target(func(t *Target) { t.KeyType = "ec384" })
	failed := func(failures int, tryNextCA bool, next time.Duration) Record {
		return with(func(r *Record) {
			r.Orders = map[string]backoff.Attempt{"le": {Failures: failures, TryNextCA: tryNextCA, Next: now.Add(next)}}
		})
	}
	hours := func(le, zerossl time.Duration) map[string]time.Duration {
		return map[string]time.Duration{"le": le * time.Hour, "zerossl": zerossl * time.Hour}
	}
	fresh, ending := ours(day, 90*day), ours(80*day, 90*day)
	revoked := with(func(r *Record) { r.SetRevoked(keypair.Fingerprint(fresh), now.Add(-time.Hour)) })
	for _, tt := range []struct {
		name   string
		target Target
		leaf   *x509.Certificate
		rec    Record
		limits map[string]time.Duration // after now
		mode   Mode
		want   Action
		why    string
		at     time.Duration // Wait: after now
	}{
		{"no limit", otherKey, fresh, done(), hours(0, 0), Scheduled, Issue, "key type changed", 0},
		{"a limit that has passed", otherKey, fresh, done(), hours(-1, 0), Scheduled, Issue, "key type changed", 0},
		{"the first CA is limited, there is time", otherKey, fresh, done(), hours(4, 0), Scheduled, Wait, "key type changed, but le: own limit", 4 * time.Hour},
		{"the first CA is limited, a person asks", otherKey, fresh, done(), hours(4, 0), Manual, Wait, "key type changed, but le: own limit", 4 * time.Hour},
		{"the first CA is limited, forced", otherKey, fresh, done(), hours(4, 4), Force, Issue, "forced", 0},
		{"the first CA is limited, time runs short", chat, ending, done(), hours(4, 0), Scheduled, Issue, "due", 0},
		{"the first CA is limited, nothing is in use", chat, nil, done(), hours(4, 0), Scheduled, Issue, "no certificate", 0},
		{"both are limited, nothing is in use", chat, nil, done(), hours(4, 3), Scheduled, Wait, "no certificate, but zerossl: own limit", 3 * time.Hour},
		{"both are limited, nothing is in use, a person asks", chat, nil, done(), hours(4, 3), Manual, Wait, "no certificate, but zerossl: own limit", 3 * time.Hour},
		{"the second CA is limited", otherKey, fresh, done(), hours(0, 4), Scheduled, Issue, "key type changed", 0},
		{"limited longer than the backoff", otherKey, fresh, failed(1, false, time.Hour), hours(4, 0), Scheduled, Wait, "own limit", 4 * time.Hour},
		{"backoff longer than the limit", otherKey, fresh, failed(1, false, 5*time.Hour), hours(4, 0), Scheduled, Wait, "the last try failed", 5 * time.Hour},
		{"limited, and kept failing before", otherKey, fresh, failed(3, true, 0), hours(4, 0), Scheduled, Issue, "key type changed", 0},
		{"limited, and kept failing before, a person asks", otherKey, fresh, failed(3, true, time.Hour), hours(4, 0), Manual, Issue, "key type changed", 0},
		{"the first CA is limited, it was revoked", chat, fresh, revoked, hours(4, 0), Scheduled, Issue, "it was revoked", 0},
		{"both are limited, it was revoked", chat, fresh, revoked, hours(4, 3), Scheduled, Wait, "it was revoked at 2026-03-01 11:00Z, but zerossl: own limit", 3 * time.Hour},
		{"not due", chat, fresh, done(), hours(4, 4), Scheduled, None, "not due", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := State{Leaf: tt.leaf, InUse: tt.leaf, Fingerprint: "f", Live: true, Record: tt.rec, Limits: map[string]Limit{}}
			for ca, after := range tt.limits {
				s.Limits[ca] = Limit{Until: now.Add(after), Err: errors.New(ca + ": own limit")}
			}
			got := Decide(now, tt.target, s, tt.mode)
			if got.Action != tt.want || !strings.Contains(got.Why, tt.why) || got.Action == Wait && !got.At.Equal(now.Add(tt.at)) {
				t.Errorf("Decide = %+v, want %v (%s) at %v", got, tt.want, tt.why, now.Add(tt.at))
			}
		})
	}
}

// When what is in use ends soon, what is stored is put in use: no other CA is asked.
func TestLimitWithAnotherStored(t *testing.T) {
	s := State{Leaf: ours(day, 90*day), InUse: ours(80*day, 90*day), Fingerprint: "f", Record: done(), Limits: map[string]Limit{"le": {Until: now.Add(time.Hour), Err: limited{}}}}
	if got := Decide(now, target(func(t *Target) { t.KeyType = "ec384" }), s, Scheduled); got.Action != Deploy {
		t.Errorf("Decide = %+v, want %v", got, Deploy)
	}
}

// specs are those of a target's deployments.
func specs(t Target) map[string]DeploySpec {
	m := map[string]DeploySpec{}
	for _, d := range t.Deploy {
		m[d.String()] = d.Spec(t.Name)
	}
	return m
}

// Deployments wait for their window, but not until a certificate ends.
func TestWindow(t *testing.T) {
	rec := with(func(r *Record) { r.Deployments = nil })
	for _, tt := range []struct {
		name  string
		inUse *x509.Certificate
		opens time.Duration
		mode  Mode
		want  Action
	}{
		{"closed", ours(61*day, 90*day), time.Hour, Scheduled, Wait},
		{"open", ours(61*day, 90*day), 0, Scheduled, Deploy},
		{"closed, a person asks", ours(61*day, 90*day), time.Hour, Manual, Deploy},
		{"closed, time runs short", ours(70*day, 90*day), time.Hour, Scheduled, Deploy},
		{"closed, what is in use has ended", ours(91*day, 90*day), time.Hour, Scheduled, Deploy},
		{"closed, nothing is in use", nil, time.Hour, Scheduled, Deploy},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := State{Leaf: ours(day, 90*day), Fingerprint: "f", InUse: tt.inUse, Record: rec, NextDeployWindow: now.Add(tt.opens)}
			got := Decide(now, chat, s, tt.mode)
			if got.Action != tt.want || got.Action == Wait && !got.At.Equal(s.NextDeployWindow) {
				t.Errorf("Decide = %+v, want %v", got, tt.want)
			}
		})
	}
}
