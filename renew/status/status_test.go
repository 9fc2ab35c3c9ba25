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
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keypaird/renew"
	"keypaird/renew/durable"
	"keypaird/renew/keypair"
	"keypaird/renew/testutil"
)

var update = flag.Bool("update", false, "write what is printed to testdata")

const aDay = 24 * time.Hour

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var must = testutil.Must

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

func TestDocument(t *testing.T) {
	d := newDesk(t)
	doc, err := Collect(d.source(), now)
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

// What waits for the window of deployments is pending, and says until when.
func TestWindowClosed(t *testing.T) {
	d := &desk{t: t, store: open(t)}
	d.add("window-closed", 1, func(fps []string) renew.Record {
		r := deployed(fps[0])
		r.Fingerprint = fps[1]
		return r
	}, pair(t, 60*aDay, "R10", "window-closed.example"), pair(t, 0, "R11", "window-closed.example"))
	src := d.source()
	src.NextDeployWindow = func(now time.Time) time.Time { return now.Add(15 * time.Hour) }
	doc, err := Collect(src, now)
	must(t, err)
	if got := doc.Targets[0]; got.State != Pending || got.next() != "wait until 2026-03-02 03:00Z: stored but not deployed; the deploy window is closed" || got.ActionRequired != "" {
		t.Errorf("%s, %q, action required %q", got.State, got.next(), got.ActionRequired)
	}
}

// held is a Sharing with which this machine neither orders nor deploys.
type held struct{ renew.Sharing }

func (held) OrderHold(time.Time, renew.State, renew.Mode) renew.Limit {
	return renew.Limit{Err: errors.New("mx1 orders for the fleet")}
}

func (held) DeployHold(time.Time, renew.State) renew.Limit {
	return renew.Limit{Err: errors.New("waits for its wave: mx1 first")}
}

// What waits for other machines says for which.
func TestHeldByOthers(t *testing.T) {
	d := &desk{t: t, store: open(t)}
	d.add("waits", 1, func(fps []string) renew.Record {
		r := deployed(fps[0])
		r.Fingerprint = fps[1]
		return r
	}, pair(t, 60*aDay, "R10", "waits.example"), pair(t, 0, "R11", "waits.example"))
	d.add("due", 1, fine, pair(t, 65*aDay, "R10", "due.example"))
	src := d.source()
	for i := range src.Targets {
		src.Targets[i].Sharing = held{}
	}
	doc, err := Collect(src, now)
	must(t, err)
	for i, want := range []struct{ state, next string }{
		{Pending, "wait: stored but not deployed; waits for its wave: mx1 first"}, {Due, "wait: due, but mx1 orders for the fleet"},
	} {
		if got := doc.Targets[i]; got.State != want.state || got.next() != want.next || got.Next.At != nil || got.ActionRequired != "" {
			t.Errorf("%s, %q, at %v, action required %q; want %s, %q", got.State, got.next(), got.Next.At, got.ActionRequired, want.state, want.next)
		}
	}
}

func TestNothingConfigured(t *testing.T) {
	doc, err := Collect(Source{Store: open(t)}, now)
	must(t, err)
	if data, err := json.Marshal(doc); err != nil || string(data) != `{"time":"2026-03-01T12:00:00Z","healthy":true,"targets":[]}` {
		t.Errorf("%s, %v", data, err)
	}
	must(t, doc.WriteText(io.Discard))
}

// A state that cannot be read is not shown as one that is empty.
func TestUnsafeState(t *testing.T) {
	d := newDesk(t)
	must(t, os.Chmod(d.store.Dir("fine"), 0o777))
	_, err := Collect(d.source(), now)
	var open *durable.UnsafeError
	if !errors.As(err, &open) || !strings.HasPrefix(err.Error(), `cert "fine": reading its state: `) {
		t.Errorf("error = %v, want UnsafeError of cert \"fine\"", err)
	}
}

type full struct{}

var errFull = errors.New("no space left on device")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestOutputFails(t *testing.T) {
	d := newDesk(t)
	doc, err := Collect(d.source(), now)
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
		{-time.Hour, "0"}, {0, "under a minute"}, {59 * time.Second, "under a minute"}, {time.Minute, "1m"}, {119 * time.Minute, "119m"}, {2 * time.Hour, "2h"},
		{47 * time.Hour, "47h"}, {2 * aDay, "2d"}, {90*aDay - time.Second, "89d"},
	} {
		if got := span(tt.d); got != tt.want {
			t.Errorf("span(%v) = %s, want %s", tt.d, got, tt.want)
		}
	}
	for _, tt := range []struct {
		end  time.Duration
		want string
	}{
		{59 * time.Second, "under a minute left"}, {time.Minute, "1 minute left"}, {3 * time.Hour, "3 hours left"},
		{-time.Second, "expired under a minute ago"}, {-2 * time.Minute, "expired 2 minutes ago"},
	} {
		if got := left(now.Add(tt.end), now); got != tt.want {
			t.Errorf("left %v: %q, want %q", tt.end, got, tt.want)
		}
	}
}
