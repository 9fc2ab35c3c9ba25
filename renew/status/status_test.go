package status

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keypaird/renew"
	"keypaird/renew/keypair"
)

var update = flag.Bool("update", false, "write what is printed to testdata")

const aDay = 24 * time.Hour

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB) *keypair.Store {
	t.Helper()
	store, err := keypair.Open(filepath.Join(t.TempDir(), "state"))
	must(t, err)
	t.Cleanup(func() { store.Close() })
	return store
}

// pair is a self-signed one, of whose ninety days so much has passed.
func pair(t testing.TB, passed time.Duration, issuer string, names ...string) *keypair.Pair {
	t.Helper()
	return pairFrom(t, now.Add(-passed), issuer, names...)
}

func pairFrom(t testing.TB, from time.Time, issuer string, names ...string) *keypair.Pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: issuer}, DNSNames: names,
		NotBefore: from, NotAfter: from.Add(90 * aDay),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	keyPEM, err := keypair.MarshalKey(key)
	must(t, err)
	p, err := keypair.Parse(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), keyPEM)
	must(t, err)
	return p
}

// A desk has targets in every state there is.
type desk struct {
	t        *testing.T
	store    *keypair.Store
	subjects []Subject
	known    []string // what is random, and what stands in for it
}

// add makes a target whose versions are pairs, of which the first so many are
// live one after another.
func (d *desk) add(name string, live int, rec func(fps []string) renew.Record, pairs ...*keypair.Pair) {
	d.t.Helper()
	d.subjects = append(d.subjects, Subject{
		Target:   renew.Target{Name: name, Names: []string{name + ".example"}, KeyType: "ec256", CAs: []string{"letsencrypt"}, Deploy: []string{"relayd", "postfix"}},
		Proofs:   map[string]string{name + ".example": "http-01"},
		Verifies: map[string]bool{"relayd": true},
	})
	var fps []string
	for i, p := range pairs {
		v, err := d.store.Add(name, p)
		must(d.t, err)
		if i < live {
			must(d.t, d.store.SetLive(name, v))
		}
		fps = append(fps, p.Fingerprint())
		stand := fmt.Sprintf("%016x", len(d.known)+1)
		d.known = append(d.known, p.Fingerprint(), strings.Repeat(stand, 4), p.Fingerprint()[:16], stand)
	}
	if rec != nil {
		data, err := json.Marshal(rec(fps))
		must(d.t, err)
		must(d.t, d.store.WriteFile(name, "record.json", data))
	}
}

// deployed is the record of a version that is in use everywhere.
func deployed(fp string) renew.Record {
	at := now.Add(-30 * aDay)
	return renew.Record{Fingerprint: fp, CA: "letsencrypt", Deployments: map[string]renew.Deployment{
		"relayd": {Deployed: fp, Verified: fp, At: at}, "postfix": {Deployed: fp, Verified: fp, At: at},
	}}
}

// failed is something that failed n times.
func failed(n int, text, remedy string) renew.Attempt {
	return renew.Attempt{Failures: n, At: now.Add(-time.Hour), Next: now.Add(40 * time.Minute), Error: text, Remedy: remedy}
}

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, store: open(t)}
	fine := func(fps []string) renew.Record { return deployed(fps[len(fps)-1]) }
	d.add("fine", 1, fine, pair(t, 10*aDay, "R10", "fine.example"))
	d.add("due", 1, fine, pair(t, 61*aDay, "R10", "due.example"))
	d.add("expired", 1, func(fps []string) renew.Record {
		r := deployed(fps[0])
		r.Order = failed(7, "letsencrypt: caa: CAA record prevents issuance", "add a CAA record\nor another CA")
		return r
	}, pair(t, 91*aDay, "R10", "expired.example"))
	d.add("missing", 0, func([]string) renew.Record {
		return renew.Record{Order: failed(1, "letsencrypt: http-01: missing.example: connection: refused", "open port 80")}
	})
	d.add("never-tried", 0, nil)
	d.add("renewed-not-deployed", 1, func(fps []string) renew.Record {
		r := deployed(fps[0])
		r.Fingerprint = fps[1]
		r.Deployments["relayd"] = renew.Deployment{Deployed: fps[0], Verified: fps[0], At: now.Add(-30 * aDay), Attempt: failed(2, `"relayd -n": exit status 1`, "")}
		r.Deployments["postfix"] = renew.Deployment{Deployed: fps[1], Verified: fps[0], At: now.Add(-30 * aDay), Attempt: failed(1, "serves another", "")}
		return r
	}, pair(t, 60*aDay, "R10", "renewed-not-deployed.example"), pair(t, 0, "R11", "renewed-not-deployed.example"))
	d.add("killed-before-deploying", 1, func(fps []string) renew.Record {
		r := deployed(fps[0])
		r.Fingerprint = fps[1]
		return r
	}, pair(t, 60*aDay, "R10", "killed-before-deploying.example"), pair(t, 0, "R11", "killed-before-deploying.example"))
	d.add("budget-spent", 1, func(fps []string) renew.Record {
		r := deployed(fps[0])
		r.For, r.Issued = "budget-spent.example", []time.Time{now.Add(-2 * time.Hour), now.Add(-time.Hour)}
		return r
	}, pair(t, 10*aDay, "R10", "other.example"))
	d.add("hostile-issuer", 1, fine, pair(t, 89*aDay+23*time.Hour, "R10\x1b[2J\nok", "hostile-issuer.example"))
	d.add("damaged", 1, fine, pair(t, 10*aDay, "R10", "damaged.example"))
	must(t, os.WriteFile(filepath.Join(d.store.Dir("damaged"), "v000001", "fullchain.pem"), []byte("-----BEGIN"), 0o600))
	d.known = append(d.known, filepath.Dir(filepath.Dir(d.store.Dir("x"))), "/var/lib/keypaird")
	return d
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

func TestDocument(t *testing.T) {
	d := newDesk(t)
	doc, err := Collect(d.store, d.subjects, now)
	must(t, err)
	data, err := json.MarshalIndent(doc, "", "  ")
	must(t, err)
	d.golden("status.json", append(data, '\n'))
	var text bytes.Buffer
	must(t, doc.WriteText(&text))
	if strings.ContainsRune(text.String(), '\x1b') {
		t.Error("an issuer steers the terminal")
	}
	d.golden("status.txt", text.Bytes())
}

func TestNothingConfigured(t *testing.T) {
	doc, err := Collect(open(t), nil, now)
	must(t, err)
	if data, err := json.Marshal(doc); err != nil || string(data) != `{"time":"2026-03-01T12:00:00Z","targets":[]}` {
		t.Errorf("%s, %v", data, err)
	}
	must(t, doc.WriteText(io.Discard))
}

// A state that cannot be read is not shown as one that is empty.
func TestUnsafeState(t *testing.T) {
	d := newDesk(t)
	must(t, os.Chmod(d.store.Dir("fine"), 0o777))
	_, err := Collect(d.store, d.subjects, now)
	var open *keypair.UnsafeError
	if !errors.As(err, &open) || !strings.HasPrefix(err.Error(), `cert "fine": reading its state: `) {
		t.Errorf("error = %v, want UnsafeError of cert \"fine\"", err)
	}
}

type full struct{}

var errFull = errors.New("no space left on device")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestOutputFails(t *testing.T) {
	d := newDesk(t)
	doc, err := Collect(d.store, d.subjects, now)
	must(t, err)
	if err := doc.WriteText(full{}); !errors.Is(err, errFull) {
		t.Errorf("error = %v, want %v", err, errFull)
	}
}

func TestSpan(t *testing.T) {
	for _, tt := range []struct {
		d    time.Duration
		want string
	}{
		{-time.Hour, "0"}, {0, "0m"}, {59 * time.Second, "0m"}, {119 * time.Minute, "119m"}, {2 * time.Hour, "2h"},
		{47 * time.Hour, "47h"}, {2 * aDay, "2d"}, {90*aDay - time.Second, "89d"},
	} {
		if got := span(tt.d); got != tt.want {
			t.Errorf("span(%v) = %s, want %s", tt.d, got, tt.want)
		}
	}
}
