package transport

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	legoacme "github.com/go-acme/lego/v4/acme"
)

// lego can read any problem document that a CA sends.
func FuzzProblemBody(f *testing.F) {
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
		var d *legoacme.ProblemDetails
		if err := json.Unmarshal(problemBody(status, body), &d); err != nil || d == nil {
			t.Fatalf("problemBody(%q) = %q: %v", body, problemBody(status, body), err)
		}
		if d.HTTPStatus != status {
			t.Errorf("status %d, want that of the response, %d", d.HTTPStatus, status)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "120", "-1", "Sun, 01 Mar 2026 12:05:00 GMT", "99999999999999999999"} {
		f.Add(s)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		if at := retryAfter(http.Header{"Retry-After": {s}}, now); !at.IsZero() && !at.After(now) {
			t.Errorf("retryAfter(%q) = %v, which is not after %v", s, at, now)
		}
	})
}
