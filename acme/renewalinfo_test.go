package acme_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"keypaird/acme"
	"keypaird/acme/acmetest"
	"keypaird/acme/ari"
)

// A renewalInfoFault is a fault of renewal information, and what follows from it.
type renewalInfoFault struct {
	name  string
	fault acmetest.Fault

	temporary bool          // asked again soon, by the caller's count
	next      time.Duration // from now; zero: not said
}

const (
	good    = `{"suggestedWindow":{"start":"2040-01-02T04:00:00Z","end":"2040-01-03T04:00:00Z"}}`
	page    = "<html>no\x1b[2J</html>"
	lasting = 6 * time.Hour // RFC 9773, section 4.3.3
)

// badRenewalInfo lists the faults.
func badRenewalInfo() []renewalInfoFault {
	all := []renewalInfoFault{
		{"reset", acmetest.Answer(acmetest.Reset()), true, 0},
		{"cut off", acmetest.Truncate(), true, 0},
		{"hung up", acmetest.Raw("", ""), true, 0},
		{"500", acmetest.Say(500, "null"), true, 0},
		{"502 of a proxy", acmetest.Say(502, page), true, 0},
		{"503, when", acmetest.Say(503, page, "Retry-After: 3600"), true, time.Hour},
		{"503, at once", acmetest.Say(503, page, "Retry-After: 1"), true, time.Minute},
		{"503, next year", acmetest.Say(503, page, "Retry-After: 31536000"), true, 24 * time.Hour},
		{"503, nonsense", acmetest.Say(503, page, "Retry-After: soon"), true, 0},
		{"429", acmetest.Say(429, "", "Retry-After: 7200"), false, 2 * time.Hour},
		{"404", acmetest.Say(404, `{"type":"urn:ietf:params:acme:error:malformed","detail":"who?"}`), false, lasting},
		{"400", acmetest.Say(400, "null"), false, lasting},
		{"304", acmetest.Say(304, ""), false, lasting},
		{"204", acmetest.Say(204, ""), false, lasting},
		{"201", acmetest.Say(201, good), false, lasting},
		{"another host", acmetest.Say(302, "", "Location: https://evil.example/"), false, lasting},
		{"plain http", acmetest.Say(302, "", "Location: http://127.0.0.1/"), false, lasting},
		{"without end", acmetest.Endless(200), false, lasting},
		{"bomb", acmetest.Bomb(64 << 20), false, lasting},
		{"no http", acmetest.Raw("220 mail.example\r\n", ""), false, lasting},
		{"headers without end", acmetest.Raw("HTTP/1.1 200 OK\r\n", "X-Filler: abcdefgh\r\n"), false, lasting},
		{"half", acmetest.Halve(), false, lasting},
	}
	window := func(start, end string) string {
		return `{"suggestedWindow":{"start":` + start + `,"end":` + end + `}}`
	}
	for name, body := range map[string]string{
		"nothing": "", "null": "null", "html": page, "an empty object": "{}", "a list": "[]", "no window": `{"suggestedWindow":null}`,
		"a window of text": `{"suggestedWindow":"soon"}`, "an empty window": `{"suggestedWindow":{}}`,
		"upside down": window(`"2040-01-03T04:00:00Z"`, `"2040-01-02T04:00:00Z"`), "of no time": window(`"2040-01-02T04:00:00Z"`, `"2040-01-02T04:00:00Z"`),
		"no start": `{"suggestedWindow":{"end":"2040-01-02T04:00:00Z"}}`, "no end": `{"suggestedWindow":{"start":"2040-01-02T04:00:00Z"}}`,
		"seconds": window("1700000000", "1800000000"), "no zone": window(`"2040-01-02T04:00:00"`, `"2040-01-03T04:00:00"`),
		"february 30": window(`"2040-02-30T04:00:00Z"`, `"2040-03-03T04:00:00Z"`), "the year 10000": window(`"10000-01-01T00:00:00Z"`, `"10001-01-01T00:00:00Z"`),
		"deep": strings.Repeat(`{"suggestedWindow":`, 20000), "two": good + good,
	} {
		all = append(all, renewalInfoFault{"200 with " + name, acmetest.Say(200, body, "Retry-After: 3600"), false, lasting})
	}
	return all
}

// Bad renewal information is ignored: nothing is renewed for it, it is requested again
// as the RFC says, and orders work.
func TestBadRenewalInfo(t *testing.T) {
	t.Parallel()
	s := newFaultNet(t)
	first, err := s.fixture.client(t).Obtain(t.Context(), s.fixture.request("a.test"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range badRenewalInfo() {
		s.each(t, f.name, func(t *testing.T, sh *proxiedClient) {
			sh.setFault(acmetest.PathRenewalInfo, f.fault)
			c := start(t, sh.options)
			began := time.Now()
			info, err := c.RenewalInfo(t.Context(), first.Leaf)
			var a *ari.Error
			if !errors.As(err, &a) || !info.Start.IsZero() {
				t.Fatalf("RenewalInfo = %v, %v; want an ari.Error", info, err)
			}
			if text := err.Error(); strings.ContainsAny(text, "\n\x1b") || len(text) > 1000 || !strings.HasPrefix(text, "pebble: no renewal information: ") || strings.Count(text, "pebble: ") != 1 {
				t.Errorf("error = %q, want one line", text)
			}
			var moment interface{ Temporary() bool } // as callers outside of the package see it
			if !errors.As(err, &moment) || moment.Temporary() != f.temporary || f.next == 0 && !a.Next.IsZero() {
				t.Errorf("temporary %v, asked again at %v; want %v and %v from now: %v", a.Transient, a.Next, f.temporary, f.next, err)
			}
			if at := began.Add(f.next); f.next != 0 && a.Next.Sub(at).Abs() > 20*time.Second {
				t.Errorf("asked again at %v, want %v", a.Next, at)
			}
			sh.req.Replaces, err = ari.CertID(first.Leaf)
			if err != nil {
				t.Fatal(err)
			}
			sh.wantCertificate(t, c, "", 1)
			sh.proxy.Set(nil)
			if _, err := c.RenewalInfo(t.Context(), first.Leaf); err != nil {
				t.Errorf("without the fault: %v", err)
			}
		})
	}
	s.wg.Wait()
}

func TestRenewalInfo(t *testing.T) {
	s := newFaultNet(t)
	sh := s.proxiedClient(t)
	c := start(t, sh.options)
	pair, err := c.Obtain(t.Context(), sh.req)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name        string
		fault       acmetest.Fault
		next        time.Duration
		explanation string
	}{
		{"as Pebble has it", nil, 6 * time.Hour, ""},
		{"asked again at once", acmetest.Headers("Retry-After: 1"), time.Minute, ""},
		{"asked again next year", acmetest.Headers("Retry-After: 31536000"), 24 * time.Hour, ""},
		{"asked again soon", acmetest.Headers("Retry-After: soon"), 6 * time.Hour, ""},
		{"explained", acmetest.Say(200, `{"explanationURL":"https://ca.example/why?x=1","suggestedWindow":`+good[19:]), 6 * time.Hour, "https://ca.example/why?x=1"},
		{"explained to a browser", acmetest.Say(200, `{"explanationURL":"javascript:alert(1)","suggestedWindow":`+good[19:]), 6 * time.Hour, ""},
		{"explained to a terminal", acmetest.Say(200, `{"explanationURL":"https://ca.example/\u001b[2J","suggestedWindow":`+good[19:]), 6 * time.Hour, ""},
		{"long ago", acmetest.Say(200, `{"suggestedWindow":{"start":"1970-01-01T00:00:00Z","end":"1970-01-01T00:00:01Z"}}`), 6 * time.Hour, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if sh.proxy.Set(nil); tt.fault != nil {
				sh.setFault(acmetest.PathRenewalInfo, tt.fault)
			}
			began := time.Now()
			info, err := c.RenewalInfo(t.Context(), pair.Leaf)
			if err != nil {
				t.Fatal(err)
			}
			if !info.End.After(info.Start) || info.Explanation != tt.explanation || info.Next.Sub(began.Add(tt.next)).Abs() > 20*time.Second {
				t.Errorf("RenewalInfo = %+v, want the next question in %v and %q", info, tt.next, tt.explanation)
			}
		})
	}
}

// A CA without renewal information is not one that fails to give it.
func TestNoRenewalInfo(t *testing.T) {
	s := newFaultNet(t)
	sh := s.proxiedClient(t)
	c := start(t, sh.options)
	pair, err := c.Obtain(t.Context(), sh.req)
	if err != nil {
		t.Fatal(err)
	}
	sh.setFault(acmetest.PathDirectory, withoutRenewalInfo())
	if _, err := start(t, sh.options).RenewalInfo(t.Context(), pair.Leaf); !errors.Is(err, acme.ErrNoRenewalInfo) {
		t.Errorf("error = %v, want ErrNoRenewalInfo", err)
	}
	sh.setFault(acmetest.PathDirectory, acmetest.Answer(acmetest.Stall()))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := start(t, sh.options).RenewalInfo(ctx, pair.Leaf); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want context canceled", err)
	}
	sh.setFault(acmetest.PathDirectory, acmetest.Say(200, page))
	var a *ari.Error
	if _, err := start(t, sh.options).RenewalInfo(t.Context(), pair.Leaf); !errors.As(err, &a) || a.Transient {
		t.Errorf("error = %v, want a lasting ari.Error", err)
	}
}

// withoutRenewalInfo makes a directory without renewal information.
func withoutRenewalInfo() acmetest.Fault {
	return acmetest.Rewrite(func(body []byte) []byte {
		return []byte(strings.ReplaceAll(string(body), `"renewalInfo"`, `"x-renewalInfo"`))
	})
}
