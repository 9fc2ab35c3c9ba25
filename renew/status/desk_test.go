package status

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keypaird/renew"
	"keypaird/renew/backoff"
	"keypaird/renew/keypair"
	"keypaird/renew/renewalinfo"
	"keypaird/renew/renewtest"
	"keypaird/renew/seen"
)

// A desk has targets in every state there is.
type desk struct {
	t       testing.TB
	store   *keypair.Store
	targets []renew.Target
	known   []string // what is random, and what stands in for it
}

// subject is a target with two deployments, of which one is looked at.
func subject(name string) renew.Target {
	return renew.Target{
		Name: name, Names: []string{name + ".example"}, KeyType: "ec256", Issuers: renewtest.CAs("letsencrypt"),
		Deploy:     deployments("127.0.0.1:443"),
		Challenges: []string{"http-01"},
	}
}

// deployments are relayd, with endpoints, and postfix, both out of order: what
// failed often enough has failed before.
func deployments(endpoints ...string) []renew.Deployer {
	fails := func(changes []renew.Change) []renew.Result {
		return renewtest.All(changes, renew.Result{Outcome: renew.RolledBack, Err: errors.New("out of order")})
	}
	return []renew.Deployer{&renewtest.Server{Name: "relayd", Served: endpoints, Use: fails}, &renewtest.Server{Name: "postfix", Use: fails}}
}

// source is the desk as documents are made from it.
func (d *desk) source() Source { return Source{Store: d.store, Targets: d.targets} }

// add makes a target whose versions are pairs, of which the first so many are
// live one after another.
func (d *desk) add(name string, live int, rec func(fps []string) renew.Record, pairs ...*keypair.Pair) {
	d.t.Helper()
	d.addTarget(subject(name), live, rec, pairs...)
}

func (d *desk) addTarget(s renew.Target, live int, rec func(fps []string) renew.Record, pairs ...*keypair.Pair) {
	d.t.Helper()
	d.targets = append(d.targets, s)
	var fps []string
	for i, p := range pairs {
		v, err := d.store.Add(s.Name, p)
		must(d.t, err)
		if i < live {
			must(d.t, d.store.SetLive(s.Name, v))
		}
		fps = append(fps, p.Fingerprint())
		stand := fmt.Sprintf("%016x", len(d.known)+1)
		d.known = append(d.known, p.Fingerprint(), strings.Repeat(stand, 4), p.Fingerprint()[:16], stand)
	}
	if rec != nil {
		data, err := json.Marshal(rec(fps))
		must(d.t, err)
		must(d.t, d.store.WriteFile(s.Name, "record.json", data))
	}
}

// deployed is the record of a version that is in use everywhere.
func deployed(fp string) renew.Record {
	at := now.Add(-30 * aDay)
	return renew.Record{Ordering: renew.Ordering{Fingerprint: fp, CA: "letsencrypt"}, Deployments: map[string]renew.Deployment{
		"relayd": {Deployed: fp, Verified: fp, At: at}, "postfix": {Deployed: fp, Verified: fp, At: at},
	}}
}

// fine is the record of the last of several versions.
func fine(fps []string) renew.Record { return deployed(fps[len(fps)-1]) }

// failed is something that failed n times.
func failed(n int, text, remedy string) backoff.Attempt {
	return backoff.Attempt{Failures: n, At: now.Add(-time.Hour), Next: now.Add(40 * time.Minute), Error: text, Remedy: remedy}
}

// orders are what failed at letsencrypt.
func orders(a backoff.Attempt) map[string]backoff.Attempt {
	return map[string]backoff.Attempt{"letsencrypt": a}
}

func newDesk(t testing.TB) *desk {
	d := &desk{t: t, store: open(t)}
	d.addUsual()
	d.addAdvised()
	d.addPlaces()
	d.addHostile()
	d.known = append(d.known, filepath.Dir(filepath.Dir(d.store.Dir("x"))), "/var/lib/keypaird")
	return d
}

func (d *desk) addUsual() {
	t := d.t
	d.add("fine", 1, fine, pair(t, 10*aDay, "R10", "fine.example"))
	d.add("due", 1, fine, pair(t, 61*aDay, "R10", "due.example"))
	d.add("expired", 1, func(fps []string) renew.Record {
		r := deployed(fps[0])
		r.Orders = orders(failed(7, "letsencrypt: caa: CAA record prevents issuance", "add a CAA record\nor another CA"))
		return r
	}, pair(t, 91*aDay, "R10", "expired.example"))
	d.add("missing", 0, func([]string) renew.Record {
		return renew.Record{Ordering: renew.Ordering{Orders: orders(failed(1, "letsencrypt: http-01: missing.example: connection: refused", "open port 80"))}}
	})
	d.add("never-tried", 0, nil)
	d.add("renewed-not-deployed", 1, func(fps []string) renew.Record {
		r := deployed(fps[0])
		r.Fingerprint = fps[1]
		r.Deployments["relayd"] = renew.Deployment{Deployed: fps[0], Verified: fps[0], At: now.Add(-30 * aDay), Attempt: failed(2, `"relayd -n": exit status 1`, "")}
		later := failed(1, "serves another", "")
		later.Next = now.Add(90 * time.Minute)
		r.Deployments["postfix"] = renew.Deployment{Deployed: fps[1], Verified: fps[0], At: now.Add(-30 * aDay), Attempt: later}
		return r
	}, pair(t, 60*aDay, "R10", "renewed-not-deployed.example"), pair(t, 0, "R11", "renewed-not-deployed.example"))
	d.add("killed-before-deploying", 1, func(fps []string) renew.Record {
		r := deployed(fps[0])
		r.Fingerprint = fps[1]
		return r
	}, pair(t, 60*aDay, "R10", "killed-before-deploying.example"), pair(t, 0, "R11", "killed-before-deploying.example"))
	limited := subject("limit-reached")
	limited.Issuers = []renew.Issuer{&renewtest.CA{Name: "letsencrypt", Held: func(*x509.Certificate) renew.Limit {
		return renew.Limit{Until: now.Add(22 * time.Hour), Err: errors.New("letsencrypt: own limit reached: 2 certificates for exactly these names in the last 24 hours")}
	}}}
	d.addTarget(limited, 1, func(fps []string) renew.Record {
		r := deployed(fps[0])
		r.IssuedAt = now.Add(-time.Hour)
		return r
	}, pair(t, 10*aDay, "R10", "other.example"))
	d.add("hostile-issuer", 1, fine, pair(t, 89*aDay+23*time.Hour, "R10\x1b[2J\nok", "hostile-issuer.example"))
	d.add("damaged", 1, fine, pair(t, 10*aDay, "R10", "damaged.example"))
	must(t, os.WriteFile(filepath.Join(d.store.Dir("damaged"), "v000001", "fullchain.pem"), []byte("-----BEGIN"), 0o600))
	d.add("late", 1, fine, pair(t, 80*aDay, "R10", "late.example"))
	d.add("failure-that-is-history", 1, func(fps []string) renew.Record {
		r := deployed(fps[0])
		r.Orders = orders(failed(4, "letsencrypt: mistake.example: no such name", ""))
		return r
	}, pair(t, 10*aDay, "R10", "failure-that-is-history.example"))
}

// addAdvised adds what CAs have a say in.
func (d *desk) addAdvised() {
	t := d.t
	advised := func(a renewalinfo.Info) func(fps []string) renew.Record {
		return func(fps []string) renew.Record {
			r := deployed(fps[0])
			a.Fingerprint, a.Next = fps[0], now.Add(6*time.Hour)
			r.RenewalInfo, r.IssuedAt = a, now.Add(-10*aDay)
			return r
		}
	}
	d.add("advised", 1, advised(renewalinfo.Info{
		Start: now.Add(48*aDay + time.Second/3), End: now.Add(50 * aDay), Chosen: now.Add(48*aDay + 5*time.Hour),
	}), pair(t, 10*aDay, "R10", "advised.example"))
	d.add("incident", 1, advised(renewalinfo.Info{
		Start: now.Add(-time.Hour), End: now.Add(aDay), Chosen: now.Add(3 * time.Hour), Explanation: "https://ca.example/incident/7",
	}), pair(t, 10*aDay, "R10", "incident.example"))
	d.add("advised-too-late", 1, advised(renewalinfo.Info{
		Start: now.Add(78 * aDay), End: now.Add(79 * aDay), Chosen: now.Add(79*aDay - time.Hour), Error: "letsencrypt: renewal information: status 500",
	}), pair(t, 10*aDay, "R10", "advised-too-late.example"))
	two := subject("two-cas")
	two.Issuers = renewtest.CAs("letsencrypt", "zerossl")
	d.addTarget(two, 1, func(fps []string) renew.Record {
		r := deployed(fps[0])
		r.Orders = orders(failed(3, "letsencrypt: not reachable", "see whether https://acme-v02.api.letsencrypt.org answers"))
		r.Orders["gone"] = failed(9, "gone: this CA is not asked any more", "")
		r.Orders["zerossl"] = failed(1, "zerossl: external account required", "set eab_kid")
		return r
	}, pair(t, 61*aDay, "R10", "two-cas.example"))
}

// addPlaces adds deployments in every state.
func (d *desk) addPlaces() {
	t := d.t
	both := deployments("127.0.0.1:443", "xmpp-server:127.0.0.1:5269")
	served := subject("*.served.example")
	served.Names = []string{"*.served.example", "served.example"}
	served.Challenges = []string{"dns-01", "dns-01"}
	served.Deploy = both
	d.addTarget(served, 1, fine, pair(t, 10*aDay, "R10", "*.served.example", "served.example"))

	not := subject("not-served")
	not.Deploy = both
	d.addTarget(not, 1, func(fps []string) renew.Record {
		r := deployed(fps[0])
		a := failed(4, `verifying: xmpp-server:127.0.0.1:5269 serves certificate 0123456789abcdef for "not-served.example", not fedcba9876543210`, "reload it")
		at := both[0].Endpoints()
		r.Deployments["relayd"] = renew.Deployment{Deployed: fps[0], Attempt: a, Record: seen.Record{Endpoints: map[string]seen.Endpoint{
			at[0]: {State: seen.Served, At: now.Add(-time.Hour)},
			at[1]: {State: seen.Failing, At: now.Add(-time.Hour), Error: `serves certificate 0123456789abcdef for "not-served.example", not fedcba9876543210`},
		}}}
		return r
	}, pair(t, 10*aDay, "R10", "not-served.example"))

	back := subject("table-changed-back")
	d.addTarget(back, 1, func(fps []string) renew.Record {
		r := deployed(fps[0])
		was := r.Deployments["relayd"]
		was.Attempt = failed(5, "the table that was tried was wrong", "")
		r.Deployments["relayd"] = was
		return r
	}, pair(t, 10*aDay, "R10", "table-changed-back.example"))

	changed := subject("table-changed")
	changed.Deploy = deployments("127.0.0.1:443")
	changed.Deploy[0].(*renewtest.Server).Done.ConfigHash = "new"
	d.addTarget(changed, 1, fine, pair(t, 10*aDay, "R10", "table-changed.example"))

	alone := subject("not-deployed-anywhere")
	alone.Deploy = nil
	d.addTarget(alone, 1, fine, pair(t, 10*aDay, "R10", "not-deployed-anywhere.example"))
}

// Hostile is what a CA, or a server that is looked at, may say. The second
// letter of REVERSED is behind a character that turns text around.
const hostile = "</script><script>alert(1)</script>\x1b[2J\x1b]0;owned\a\"'><img src=x onerror=alert(1)> R\u202eEVERSED \xff {{.}}"

func (d *desk) addHostile() {
	t := d.t
	d.add("hostile", 1, func(fps []string) renew.Record {
		r := deployed(fps[0])
		r.Orders = orders(failed(3, "letsencrypt: "+hostile, hostile+"\n"+hostile))
		r.RenewalInfo = renewalinfo.Info{
			Fingerprint: fps[0], Start: now.Add(-3 * aDay), End: now.Add(-2 * aDay), Chosen: now.Add(-2*aDay - time.Hour),
			Explanation: "javascript:alert(1)//" + hostile, Error: hostile, Next: now.Add(time.Hour),
		}
		r.Deployments["postfix"] = renew.Deployment{Deployed: fps[0], Attempt: failed(2, hostile, hostile)}
		return r
	}, pair(t, 61*aDay, hostile[:60], "hostile.example"))
}

// document is how the desk stands.
func (d *desk) document() Document {
	d.t.Helper()
	doc, err := Collect(d.source(), now)
	must(d.t, err)
	return doc
}

// golden compares got with a file of testdata, random parts replaced.
func (d *desk) golden(file string, got []byte) {
	d.t.Helper()
	got = []byte(strings.NewReplacer(d.known...).Replace(string(got)))
	path := filepath.Join("testdata", file)
	if *update {
		must(d.t, os.MkdirAll("testdata", 0o755))
		must(d.t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	must(d.t, err)
	if !bytes.Equal(got, want) {
		d.t.Errorf("%s differs; go test ./renew/status -update writes what is printed now:\n%s", path, got)
	}
}
