package child

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/go-acme/lego/v4/challenge"
	"github.com/go-acme/lego/v4/platform/config/env"

	"keypaird/acme/dns01/need"
	"keypaird/cmd/keypaird-dns/child/rfc2136"
	"keypaird/renew/problem"
)

// keepsSeveral names the providers that can have several values at one name: by lego's
// source, Present adds to what is there and CleanUp removes the
// one value only. All others are assumed to replace, among them gandiv5,
// namecheap, vultr, dnsimple, bunny and gcloud, whose CleanUp takes everything
// at the name, and acme-dns, which keeps two.
var keepsSeveral = map[string]bool{
	"cloudflare":   true, // a record each, deleted by its id
	"desec":        true, // reads the set, adds or removes the value, writes it
	"digitalocean": true, // a record each, deleted by its id
	"hetzner":      true, // both APIs add and remove by value
	"infomaniak":   true, // a record each, deleted by its id
	"linode":       true, // a record each, deleted by name and value
	"ovh":          true, // a record each, deleted by its id
	"pdns":         true, // reads the set, adds or removes the value, writes it
	"porkbun":      true, // a record each, deleted by its id
	"rfc2136":      true, // our own: adds and removes one value
	"route53":      true, // reads the set, adds or removes the value, writes it
	"scaleway":     true, // adds and removes by value
}

// shortTTL is the TTL, in seconds, that is asked for where lego's default is longer than
// the provider needs: a resolver that has cached the records hides later ones.
const shortTTL = "10"

// ttlVariables are of providers that are servers of one's own, which take any TTL. For
// others lego asks for the shortest that they take.
var ttlVariables = map[string]string{
	"infoblox": "INFOBLOX_TTL", "pdns": "PDNS_TTL", "rfc2136": "DNSUPDATE_TTL", "technitium": "TECHNITIUM_TTL",
}

// shortenTTL sets the variable for the TTL unless the account does.
func shortenTTL(code string) {
	name := ttlVariables[code]
	if name == "" || env.GetOrFile(name) != "" || code == "rfc2136" && env.GetOrFile("RFC2136_TTL") != "" {
		return
	}
	_ = os.Setenv(name, shortTTL)
}

// fixVersion keeps lego from asking PowerDNS for the version of its API: it takes a
// refused key for a version that has been gone for years, and then finds no zone.
func fixVersion(code string) {
	const name = "PDNS_API_VERSION"
	if code == "pdns" && env.GetOrFile(name) == "" {
		_ = os.Setenv(name, "1")
	}
}

// provider returns the account's provider, made from the environment.
func (p Program) provider(code string) (challenge.Provider, error) {
	code = need.Canonical(code)
	switch {
	case code == "manual":
		return nil, problem.New(`provider "manual" waits for a person at a terminal`, "publish a record once instead: dns-persist-01")
	case code == "rfc2136" && !rfc2136.UsesKerberos():
		return rfc2136.New()
	case p.Codes != nil && !slices.Contains(p.Codes, code):
		return nil, p.unknown(code)
	}
	shortenTTL(code)
	fixVersion(code)
	made, err := p.Open(code)
	if err != nil {
		if _, missing := find(code); missing != nil {
			return nil, p.unknown(code)
		}
		return nil, problem.Wrap(err, "correct env in the account's [dns] table; the variables are listed by: keypaird dns "+code)
	}
	return made, nil
}

func (p Program) unknown(code string) error {
	if _, err := find(code); err != nil {
		return problem.Wrap(err, "the providers are listed by: keypaird dns")
	}
	return problem.Newf("build it without -tags lean", "provider %q is not in this build of keypaird-dns", code)
}

var errNoProvider = errors.New("lego has no such DNS provider")

// find looks up a provider by its code or an alias.
func find(code string) (Description, error) {
	all, err := descriptions()
	if err != nil {
		return Description{}, err
	}
	for _, d := range all {
		if d.Code == need.Canonical(code) {
			return d, nil
		}
	}
	var near []string
	if meant := need.Meant(code); meant != "" {
		near, all = []string{meant}, nil
	}
	for _, d := range all {
		if strings.Contains(strings.ToLower(d.Code+" "+d.Name), strings.ToLower(code)) {
			near = append(near, d.Code)
		}
	}
	if code != "" && len(near) > 0 && len(near) < 9 {
		return Description{}, fmt.Errorf("%w: %q (did you mean %s?)", errNoProvider, code, strings.Join(near, ", "))
	}
	return Description{}, fmt.Errorf("%w: %q", errNoProvider, code)
}
