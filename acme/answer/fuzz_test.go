package answer

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
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

// lego can read whatever a Reader returns, and no URL in it is at another host.
func FuzzReader(f *testing.F) {
	for _, s := range []string{
		`{"status":"pending","finalize":"/f","authorizations":["/a","//evil.example/x"],"identifiers":[{"type":"dns","value":"A.test."}],"error":7}`,
		`{"status":"valid","certificate":"http://ca.test/c","expires":7,"Status":9}`, `{"status":"invalid","error":{"status":"x","subproblems":[null]}}`,
		`{"status":"pending","identifier":{"value":"*.a.test"},"challenges":[null,{"url":"/c","type":"x","token":3,"validated":"never"}]}`,
		`{"newNonce":"/n","newAccount":"/a","newOrder":"o","meta":{"profiles":[],"caaIdentities":7},"renewalInfo":[]}`, `null`, `[]`, `{"status":null}`,
	} {
		f.Add([]byte(s))
	}
	base, _ := url.Parse("https://ca.test/dir")
	r := Reader{Base: base, Names: []string{"a.test", "*.a.test", "::1"}, Serves: func(u *url.URL) bool { return u.Scheme == "https" && u.Host == "ca.test" }}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, tt := range []struct {
			read func([]byte) ([]byte, error)
			into any
		}{
			{r.Directory, new(legoacme.Directory)}, {r.Order, new(legoacme.Order)}, {r.Authorization, new(legoacme.Authorization)},
			{r.Challenge, new(legoacme.Challenge)}, {r.Account, new(legoacme.Account)},
		} {
			out, err := tt.read(body)
			if err != nil && strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("error = %q", err)
			}
			if err == nil && json.Unmarshal(out, tt.into) != nil {
				t.Errorf("%T: lego cannot read %s", tt.into, out)
			}
			if o, ok := tt.into.(*legoacme.Order); ok && err == nil {
				for _, at := range append(o.Authorizations, o.Finalize, o.Certificate) {
					if at != "" && !strings.HasPrefix(at, "https://ca.test") && !strings.HasPrefix(at, "HTTPS://") {
						t.Errorf("a URL at %s", at)
					}
				}
			}
		}
	})
}

// Chain returns what is whole, and the same again for that.
func FuzzChain(f *testing.F) {
	f.Add([]byte("x\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n-----BEG"))
	f.Fuzz(func(t *testing.T, body []byte) {
		once, err := Chain(body)
		if err != nil {
			return
		}
		if twice, err := Chain(once); err != nil || !bytes.Equal(once, twice) {
			t.Errorf("Chain(%q) = %q, %v", once, twice, err)
		}
	})
}

// The issuers that a CA names become part of a record that an operator copies into a
// zone.
func FuzzIssuers(f *testing.F) {
	f.Add([]byte(`{"challenges":[{"url":"u","issuer-domain-names":["ca.test","ca.test\"; evil=1","",null]}]}`), "u")
	f.Add([]byte(`{"challenges":[null,7]}`), "u")
	f.Fuzz(func(t *testing.T, body []byte, url string) {
		for _, name := range Issuers(body, url) {
			if strings.ContainsAny(name, " \t\r\n;\"\\=()") || name == "" || len(name) > 253 {
				t.Errorf("issuer %q", name)
			}
		}
	})
}
