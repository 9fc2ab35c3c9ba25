package acme

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	legoacme "github.com/go-acme/lego/v4/acme"

	"keypaird/acme/refusal"
	"keypaird/acme/transport"
)

// The problem of a CA is printable, with any text in it.
func FuzzNewProblem(f *testing.F) {
	for _, s := range []string{
		"", "null", "[]", "<html>", `{"type":7,"status":"400","detail":["x"]}`,
		`{"type":"urn:ietf:params:acme:error:badNonce"}`,
		`{"type":"urn:ietf:params:acme:error:rateLimited","detail":"retry after 2026-13-45 99:99:99 UTC, unpause https://x/unpause?\u001b"}`,
		`{"type":"urn:ietf:params:acme:error:malformed","subproblems":[{"type":"urn:ietf:params:acme:error:caa","detail":"no","identifier":{"type":"dns","value":"a\nb"}}]}`,
		`{"subproblems":[null,{"identifier":null}],"detail":"` + strings.Repeat(`\u00e9`, 3000) + `"}`,
	} {
		f.Add(403, []byte(s))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		var d legoacme.ProblemDetails
		_ = json.Unmarshal(body, &d) // what could be read counts
		p := refusal.New("ca", &d, transport.Answer{Status: status})
		for _, s := range []string{p.Error(), p.Remedy(), p.Page} {
			if strings.ContainsFunc(s, unicode.IsControl) || len(s) > 4*refusal.MaxText || !utf8.ValidString(s) {
				t.Errorf("not fit to print: %q", s)
			}
		}
	})
}

func FuzzPace(f *testing.F) {
	f.Add(int64(-1))
	f.Add(int64(time.Hour))
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, after int64) {
		a := transport.Answer{RetryAfter: now.Add(time.Duration(after))}
		if d := (pace{now}).next(now, a); d <= 0 || d > maxRetryAfter {
			t.Errorf("next poll after %v", d)
		}
	})
}

func FuzzIsToken(f *testing.F) {
	f.Add("evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA")
	f.Add("../../../../../../etc/passwd")
	f.Fuzz(func(t *testing.T, s string) {
		if IsToken(s) && strings.ContainsAny(s, "/\\.%\x00 \n") {
			t.Errorf("%q is taken for a token", s)
		}
	})
}
