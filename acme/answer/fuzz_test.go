package answer

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

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
		if err := json.Unmarshal(Problem(status, body), &d); err != nil || d == nil {
			t.Fatalf("Problem(%q) = %q: %v", body, Problem(status, body), err)
		}
		if d.HTTPStatus != status {
			t.Errorf("status %d, want that of the response, %d", d.HTTPStatus, status)
		}
	})
}

func FuzzAlternates(f *testing.F) {
	for _, s := range []string{
		`<https://ca.test/cert/1/alternate/1>;rel="alternate"`,
		`<a>; rel=alternate, <b>; title="x"; rel="alternate"`, `<>;rel="alternate"`, `<:>;rel="alternate"`, `<<<`,
	} {
		f.Add("https://ca.test/cert/1", s)
	}
	f.Fuzz(func(t *testing.T, base, link string) {
		if got := Alternates(base, http.Header{"Link": {link, link}}); len(got) > maxAlternates {
			t.Errorf("%d alternates", len(got))
		}
	})
}

func FuzzTopIssuer(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, chain []byte) {
		if name := TopIssuer(chain); name != "" && !bytes.Contains(chain, []byte("BEGIN CERTIFICATE")) {
			t.Errorf("TopIssuer(%q) = %q", chain, name)
		}
	})
}
