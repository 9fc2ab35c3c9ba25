package envelope

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"keypaird/renew/problem"
)

func generate(t testing.TB) *Identity {
	t.Helper()
	i, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// newMembers returns a fleet of nodes with keys.
func newMembers(t testing.TB, nodes ...string) (Members, map[string]*Identity) {
	t.Helper()
	m, keys := Members{}, map[string]*Identity{}
	for _, node := range nodes {
		keys[node] = generate(t)
		m[node] = keys[node].Publics()
	}
	return m, keys
}

func message(by, fleet, key string) Message {
	return Message{
		Header: Header{Fleet: fleet, Key: key, Serial: 7, By: by, At: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)},
		Body:   json.RawMessage(`{"a":"b"}`), Sealed: []byte{0, 1, 2},
	}
}

func sign(t testing.TB, i *Identity, m Message) []byte {
	t.Helper()
	value, err := i.Sign(m)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestOpen(t *testing.T) {
	members, keys := newMembers(t, "mx1", "mx2")
	want := message("mx1", "f1", "live/a")
	value := sign(t, keys["mx1"], want)
	for _, by := range [][]string{nil, {"mx1"}, {"mx2", "mx1"}} {
		got, err := members.Open(value, "f1", "live/a", by)
		if err != nil || got.Header != want.Header || string(got.Body) != string(want.Body) || !bytes.Equal(got.Sealed, want.Sealed) {
			t.Errorf("Open by %q = %+v, %v; want %+v", by, got, err, want)
		}
	}
	if got, err := members.Open(value, "", "live/a", nil); err != nil || got.Fleet != "f1" {
		t.Errorf("Open of any fleet = %+v, %v", got, err)
	}
}

// envelopeOf returns a value with a payload of its own.
func envelopeOf(t testing.TB, payload, signature string) []byte {
	t.Helper()
	value, err := json.Marshal(envelope{payload, signature})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// A value that is not what a node wrote there is refused; the signer is named only if he
// signed it.
func TestOpenRefuses(t *testing.T) {
	members, keys := newMembers(t, "mx1", "mx2")
	thief := generate(t)
	good := sign(t, keys["mx1"], message("mx1", "f1", "live/a"))
	var e envelope
	if err := json.Unmarshal(good, &e); err != nil {
		t.Fatal(err)
	}
	raw := func(signature []byte) string { return base64.StdEncoding.EncodeToString(signature) }
	bare := raw(ed25519.Sign(keys["mx1"].pairs[0].sign, []byte(e.Payload)))
	for _, tt := range []struct {
		name       string
		value      []byte
		by, remedy string
	}{
		{"nothing", nil, "", "compare"},
		{"truncated", good[:len(good)-9], "", "compare"},
		{"null", []byte("null"), "", "compare"},
		{"a list", []byte("[]"), "", "compare"},
		{"NUL", bytes.Repeat([]byte{0}, 100), "", "compare"},
		{"10 MB", bytes.Repeat([]byte(" "), 10<<20), "", "compare"},
		{"nested", []byte(strings.Repeat("[", MaxValue-1)), "", "compare"},
		{"nested payload", envelopeOf(t, `{"by":"mx1","body":`+strings.Repeat("[", 400_000), e.Signature), "", "compare"},
		{"payload is no object", envelopeOf(t, `"mx1"`, e.Signature), "", "compare"},
		{"no signature", envelopeOf(t, e.Payload, ""), "", "compare"},
		{"signature of zeros", envelopeOf(t, e.Payload, raw(make([]byte, 64))), "", "compare"},
		{"three signatures", envelopeOf(t, e.Payload, raw(make([]byte, 192))), "", "compare"},
		{"half a signature", envelopeOf(t, e.Payload, raw(make([]byte, 32))), "", "compare"},
		{"signature for another purpose", envelopeOf(t, e.Payload, bare), "", "compare"},
		{"payload changed", envelopeOf(t, strings.Replace(e.Payload, "live/a", "live/b", 1), e.Signature), "", "compare"},
		{"a stranger as mx1", sign(t, thief, message("mx1", "f1", "live/a")), "", "compare"},
		{"a node as another", sign(t, keys["mx2"], message("mx1", "f1", "live/a")), "", "compare"},
		{"nobody's name", sign(t, thief, message("mx1\x1b[2J", "f1", "live/a")), "", "compare"},
		{"another fleet", sign(t, keys["mx1"], message("mx1", "f2", "live/a")), "mx1", "restrict"},
		{"another key", sign(t, keys["mx1"], message("mx1", "f1", "live/b")), "mx1", "restrict"},
		{"may not", sign(t, keys["mx2"], message("mx2", "f1", "live/a")), "mx2", "one order"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := members.Open(tt.value, "f1", "live/a", []string{"mx1"})
			e, ok := errors.AsType[*SignatureError](err)
			if !ok || e.By != tt.by || e.Key != "live/a" || !strings.Contains(problem.Remedy(err), tt.remedy) {
				t.Fatalf("Open = %+v, %v (%s); want a SignatureError with signer %q and %q in its remedy", got, err, problem.Remedy(err), tt.by, tt.remedy)
			}
			if got.By != "" || strings.ContainsAny(err.Error(), "\x00\x1b\n") || tt.by == "" && strings.Contains(err.Error(), "mx1") {
				t.Errorf("Open = %+v, %q", got, err)
			}
		})
	}
}

// While a node's key is exchanged, the others may know the old one, both or the new one.
func TestRotate(t *testing.T) {
	old := generate(t)
	both, err := old.Rotate()
	if err != nil {
		t.Fatal(err)
	}
	renewed := both.Newest()
	if _, err := both.Rotate(); err == nil {
		t.Error("a third key was made")
	}
	for _, tt := range []struct {
		name   string
		signer *Identity
		known  []Public
		ok     bool
	}{
		{"known are the old", both, old.Publics(), true},
		{"known are both", both, both.Publics(), true},
		{"known are the new", both, renewed.Publics(), true},
		{"not yet rotated, known are both", old, both.Publics(), true},
		{"done, known are both", renewed, both.Publics(), true},
		{"done, known are the old", renewed, old.Publics(), false},
		{"not yet rotated, known are the new", old, renewed.Publics(), false},
	} {
		members := Members{"mx1": tt.known}
		_, err := members.Open(sign(t, tt.signer, message("mx1", "f", "k")), "f", "k", nil)
		sealed, sealErr := Seal([]byte("secret"), tt.known)
		if sealErr != nil {
			t.Fatal(sealErr)
		}
		plain, unsealErr := tt.signer.Unseal(sealed)
		if (err == nil) != tt.ok || (unsealErr == nil && string(plain) == "secret") != tt.ok {
			t.Errorf("%s: Open: %v; Unseal: %q, %v", tt.name, err, plain, unsealErr)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	i := generate(t)
	large := message("mx1", "f", "k")
	large.Sealed = make([]byte, MaxValue)
	invalid := message("mx1", "f", "k")
	invalid.Body = json.RawMessage("\"\xff\"")
	for name, m := range map[string]Message{
		"no node": message("", "f", "k"), "no fleet": message("mx1", "", "k"), "no key": message("mx1", "f", ""),
		"too large": large, "not UTF-8": invalid, "no JSON": {Header: large.Header, Body: json.RawMessage("{")},
	} {
		if value, err := i.Sign(m); err == nil {
			t.Errorf("%s: signed as %.80q", name, value)
		}
	}
}

func TestSeal(t *testing.T) {
	members, keys := newMembers(t, "mx1", "mx2", "web1")
	to, err := members.Publics([]string{"mx1", "mx2", "mx1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 1, 3000, 200_000} {
		plain := bytes.Repeat([]byte("k"), size)
		sealed, err := Seal(plain, to)
		if err != nil {
			t.Fatal(err)
		}
		for _, node := range []string{"mx1", "mx2"} {
			if got, err := keys[node].Unseal(sealed); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%s: %d bytes: %v", node, size, err)
			}
		}
		if got, err := keys["web1"].Unseal(sealed); err == nil || len(got) != 0 || !strings.Contains(err.Error(), "not sealed to this node") {
			t.Errorf("web1: %q, %v", got, err)
		}
		for _, n := range []int{0, 10, len(sealed) / 2, len(sealed) - 1} {
			if got, err := keys["mx1"].Unseal(sealed[:n]); err == nil || got != nil {
				t.Errorf("%d of %d bytes: %.20q, %v", n, len(sealed), got, err)
			}
		}
		sealed[len(sealed)-1] ^= 1
		if got, err := keys["mx1"].Unseal(sealed); err == nil || got != nil || problem.Remedy(err) == "" {
			t.Errorf("damaged: %.20q, %v", got, err)
		}
	}
	if _, err := Seal([]byte("k"), nil); err == nil {
		t.Error("sealed to nobody")
	}
	if _, err := keys["mx1"].Unseal(make([]byte, 10<<20)); err == nil {
		t.Error("10 MB were unsealed")
	}
	if _, err := members.Publics([]string{"mx1", "mx9"}); err == nil || !strings.Contains(err.Error(), `"mx9"`) {
		t.Errorf("Publics of a node that is no member: %v", err)
	}
	if got := members.Node(keys["mx2"].Public()); got != "mx2" {
		t.Errorf("Node = %q", got)
	}
	if got := members.Node(generate(t).Public()); got != "" {
		t.Errorf("Node of another key = %q", got)
	}
}

// The fuzzer gets the keys of a fleet that it can sign for, too: a node may have been
// broken into.
func FuzzOpen(f *testing.F) {
	members, keys := newMembers(f, "mx1", "mx2")
	f.Add(sign(f, keys["mx1"], message("mx1", "f1", "live/a")), "mx1", "f1", "live/a")
	f.Add([]byte(`{"payload":"{}","signature":""}`), "mx2", "f2", "live/b")
	f.Add([]byte(strings.Repeat("[", 20_000)), "", "", "")
	f.Fuzz(func(t *testing.T, value []byte, by, fleet, key string) {
		check := func(value []byte) {
			m, err := members.Open(value, "f1", "live/a", []string{"mx1"})
			if _, ok := errors.AsType[*SignatureError](err); err != nil && !ok {
				t.Errorf("%q: %v", value, err)
			}
			if err == nil && (m.By != "mx1" || m.Fleet != "f1" || m.Key != "live/a") {
				t.Errorf("%q was opened as %+v", value, m)
			}
		}
		check(value)
		if signed, err := keys["mx2"].Sign(Message{Header: Header{Fleet: fleet, Key: key, By: by}, Sealed: value}); err == nil {
			check(signed)
			if _, err := members.Open(signed, "f1", "live/a", []string{"mx1"}); err == nil {
				t.Errorf("mx2 wrote as %q, %q, %q", by, fleet, key)
			}
		}
		_, _ = keys["mx1"].Unseal(value)
	})
}

func BenchmarkSeal(b *testing.B) {
	plain := make([]byte, 3000) // an EC key in PEM is smaller, one of RSA 4096 about that
	for _, n := range []int{1, 10, 200} {
		var to []Public
		var last *Identity
		for range n {
			last = generate(b)
			to = append(to, last.Public())
		}
		sealed, err := Seal(plain, to)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := Seal(plain, to); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(sealed)-len(plain)), "overhead-B")
		})
		b.Run(fmt.Sprintf("%d/unseal-last", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := last.Unseal(sealed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
