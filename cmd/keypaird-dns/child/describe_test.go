package child

import (
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"keypaird/acme/dns01/need"

	"github.com/go-acme/lego/v4/challenge"

	"keypaird/renew/problem"
)

const providersOfLego = 195

// providers.json is made by gen from the version of lego in go.mod.
func TestDescriptionsAreLegos(t *testing.T) {
	out, err := exec.Command("go", "run", "keypaird/cmd/keypaird-dns/gen").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out, providersJSON) {
		t.Error("providers.json is not what gen makes: go generate ./cmd/keypaird-dns")
	}
	all, err := descriptions()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != providersOfLego {
		t.Errorf("%d providers, want %d", len(all), providersOfLego)
	}
	named := map[string]string{}
	for _, d := range all {
		for _, alias := range d.Aliases {
			named[alias] = d.Code
		}
	}
	for alias, code := range named {
		if need.Aliases[alias] != code {
			t.Errorf("alias %s of %s is missing", alias, code)
		}
	}
	for alias, code := range need.Aliases {
		if named[alias] != code {
			t.Errorf("%s is no alias of %s", alias, code)
		}
	}
	for code := range keepsSeveral {
		if _, err := find(code); err != nil {
			t.Error(err)
		}
	}
	for _, code := range need.Codes() {
		if _, err := find(code); err != nil {
			t.Error(err)
		}
	}
	for code := range notes {
		if _, err := find(code); err != nil {
			t.Error(err)
		}
	}
}

// notConfined does not restrict the process of the tests.
func notConfined(string) (string, error) { return "", nil }

func run(t *testing.T, p Program, args ...string) (out string, err error) {
	t.Helper()
	var b, e bytes.Buffer
	err = p.run(t.Context(), args, strings.NewReader(""), &b, &e, notConfined)
	return b.String(), err
}

func TestDescribe(t *testing.T) {
	few := Program{Codes: []string{"cloudflare", "rfc2136"}}
	for _, tt := range []struct {
		name string
		args []string
		want []string
		not  string
		err  string
	}{
		{"list", []string{"-list"}, []string{"cloudflare\nrfc2136\n"}, "hetzner", ""},
		{"list in JSON", []string{"-list", "-json"}, []string{`"code": "cloudflare"`, `"built_in": true`}, "hetzner", ""},
		{"one", []string{"-describe", "cloudflare"}, []string{
			"Cloudflare (cloudflare)\n", "CF_DNS_API_TOKEN ", "API token with DNS:Edit permission", "NAME_FILE",
			"[dns.cloudflare]\nprovider = \"cloudflare\"\n[dns.cloudflare.env]\nCF_DNS_API_TOKEN_FILE = "}, "PROPAGATION_TIMEOUT", ""},
		{"by its alias", []string{"-describe", "dnsupdate"}, []string{"(rfc2136, dnsupdate)", "RFC2136_TSIG_FILE", "update-policy { grant keypaird name"}, "SEQUENCE_INTERVAL", ""},
		{"not built in", []string{"-describe", "hetzner"}, []string{"HETZNER_API_TOKEN", "built with -tags lean"}, "", ""},
		{"in JSON", []string{"-json", "-describe", "hetzner"}, []string{`"name": "HETZNER_API_TOKEN"`, `"built_in": false`}, "", ""},
		{"no such", []string{"-describe", "route"}, nil, "", `lego has no such DNS provider: "route" (did you mean route53?)`},
		{"no use", []string{"-describe", "manual"}, []string{"keypaird cannot use it"}, "", ""},
		{"a word too many", []string{"cloudflare"}, nil, "", `unexpected argument "cloudflare"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := run(t, few, tt.args...)
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || err.Error() != tt.err) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			for _, want := range tt.want {
				if !strings.Contains(out, want) {
					t.Errorf("missing %q in:\n%s", want, out)
				}
			}
			if tt.not != "" && strings.Contains(out, tt.not) {
				t.Errorf("%q in:\n%s", tt.not, out)
			}
			if slices.Contains(tt.args, "-json") && err == nil && !json.Valid([]byte(out)) {
				t.Errorf("not JSON:\n%s", out)
			}
		})
	}
}

func TestProviders(t *testing.T) {
	p := Program{Codes: []string{"hetzner"}, Open: func(code string) (challenge.Provider, error) {
		return nil, io.ErrUnexpectedEOF
	}}
	for _, tt := range []struct{ name, code, err, remedy string }{
		{"waits for a person", "manual", `provider "manual" waits for a person at a terminal`, "dns-persist-01"},
		{"not in this build", "route53", `provider "route53" is not in this build of keypaird-dns`, "without -tags lean"},
		{"no such", "nonesuch", `lego has no such DNS provider: "nonesuch"`, "keypaird dns"},
		{"will not open", "hetzner", "unexpected EOF", "keypaird dns hetzner"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := p.provider(tt.code)
			if err == nil || err.Error() != tt.err {
				t.Fatalf("provider = %v, want %q", err, tt.err)
			}
			if got := problem.Remedy(err); !strings.Contains(got, tt.remedy) {
				t.Errorf("remedy %q, want %q", got, tt.remedy)
			}
		})
	}
}

// Each variable that is recommended is one of the provider's.
func TestRecommendations(t *testing.T) {
	all, err := descriptions()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, d := range all {
		var known []string
		for _, v := range slices.Concat(d.Credentials, d.Optional) {
			known = append(known, v.Name, v.Name+"_FILE")
		}
		own, ok := recommendations[d.Code]
		if !ok {
			continue
		}
		seen++
		for _, v := range own.env {
			if !slices.Contains(known, v[0]) {
				t.Errorf("%s has no variable %s", d.Code, v[0])
			}
		}
	}
	if seen != len(recommendations) {
		t.Errorf("%d of %d recommendations are for providers", seen, len(recommendations))
	}
}
