package initial

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"keypaird/acme/dns01"
	"keypaird/acme/dns01/need"
	"keypaird/acme/dns01/redact"
	"keypaird/cmd/keypaird/preflight"
	"keypaird/renew/problem"
	"keypaird/renew/textfmt"
)

// A provider is the description of a DNS provider by keypaird-dns.
type provider struct {
	Code    string                        `json:"code"`
	Name    string                        `json:"name"`
	Example []struct{ Name, Text string } `json:"example"`
	Rights  string                        `json:"rights"`
	Lines   []string                      `json:"lines"`
	BuiltIn bool                          `json:"built_in"`
}

// describe asks keypaird-dns for a provider.
func describe(ctx context.Context, code string) (p provider, err error) {
	if other := need.Meant(code); other != "" {
		code = other
	}
	if code == "manual" {
		return p, problem.New(`"manual" waits for a person at a terminal`, `write "persist": it takes one record, once`)
	}
	if code == "" || strings.HasPrefix(code, "-") || strings.ContainsFunc(code, func(r rune) bool { return r <= ' ' || r > '~' }) || len(code) > 64 {
		return p, problem.Newf("name one of those that keypaird dns lists", "%q is not a provider", textfmt.Cut(code, 64))
	}
	child, err := dns01.FindChild()
	if err != nil {
		return p, err
	}
	cmd, err := preflight.AskChild(ctx, child, "-json", "-describe", code)
	if err != nil {
		return p, err
	}
	printed, err := cmd.Output()
	switch {
	case ctx.Err() != nil:
		return p, context.Cause(ctx)
	case err != nil:
		return p, problem.Newf(preflight.ProviderRemedy(ctx, child, code), "there is no DNS provider %q", code)
	}
	if err := json.Unmarshal(printed, &p); err != nil || p.Code == "" {
		return p, errors.New("keypaird-dns and keypaird are of different versions")
	}
	if !p.BuiltIn {
		return p, problem.Newf("build keypaird-dns without -tags lean", "the provider %q is not built into %s", code, child)
	}
	return p, nil
}

// table returns the name of the [dns] table.
func (p provider) table() string {
	switch p.Code {
	case persist:
		return persist
	case "rfc2136":
		return "ns"
	}
	return strings.ReplaceAll(p.Code, ".", "-")
}

// variables returns the variables of an account, with a value each or "" where the
// operator knows it. Secrets are in files in dir.
func (p provider) variables(dir string) (list []variable) {
	for _, e := range p.Example {
		v := variable{e.Name, e.Text}
		switch {
		case strings.HasSuffix(v.name, "_FILE"):
			v.value = inDir(v.value, dir)
		case redact.IsSecret(v.name, strings.Repeat("x", 20)):
			v = variable{v.name + "_FILE", filepath.Join(dir, strings.ToLower(v.name))}
		case placeholder(v.value):
			v.value = ""
		}
		if !slices.ContainsFunc(list, func(o variable) bool { return o.name == v.name }) {
			list = append(list, v)
		}
	}
	return list
}

// example returns the example of a variable.
func (p provider) example(name string) string {
	for _, e := range p.Example {
		if e.Name == name {
			return e.Text
		}
	}
	return ""
}

// inDir returns a path of an example in another directory.
func inDir(path, dir string) string {
	if base, ok := strings.CutPrefix(path, "/etc/keypaird/"); ok {
		return filepath.Join(dir, base)
	}
	return path
}

// placeholder reports whether a value of an example stands for another.
func placeholder(value string) bool {
	return slices.ContainsFunc([]string{"...", "example", "my-", "192.0.2.", "xxx", "abc", "123"}, func(s string) bool {
		return strings.Contains(strings.ToLower(value), s)
	})
}

// zones are the ends of the names of providers' name servers.
var zones = map[string]string{
	"ns.cloudflare.com": "cloudflare", "cloudflare.net": "cloudflare",
	"ns.hetzner.com": "hetzner", "ns.hetzner.de": "hetzner", "first-ns.de": "hetzner", "second-ns.de": "hetzner", "second-ns.com": "hetzner",
	"gandi.net": "gandiv5", "ovh.net": "ovh", "ovh.ca": "ovh", "anycast.me": "ovh",
	"digitalocean.com": "digitalocean", "linode.com": "linode", "vultr.com": "vultr",
	"desec.io": "desec", "desec.org": "desec", "dnsimple.com": "dnsimple", "dnsimple-edge.net": "dnsimple", "dnsimple-edge.org": "dnsimple",
	"inwx.de": "inwx", "inwx.eu": "inwx", "inwx.net": "inwx", "ui-dns.com": "ionos", "ui-dns.de": "ionos", "ui-dns.org": "ionos", "ui-dns.biz": "ionos",
	"googledomains.com": "gcloud", "azure-dns.com": "azuredns", "azure-dns.net": "azuredns", "azure-dns.org": "azuredns", "azure-dns.info": "azuredns",
	"registrar-servers.com": "namecheap", "domaincontrol.com": "godaddy", "name.com": "namedotcom", "ns.porkbun.com": "porkbun",
	"bunny.net": "bunny", "he.net": "hurricane", "infomaniak.com": "infomaniak", "infomaniak.ch": "infomaniak", "scw.cloud": "scaleway",
	"netcup.net": "netcup", "transip.net": "transip", "transip.nl": "transip", "transip.eu": "transip", "njalla.no": "njalla", "njalla.in": "njalla",
	"loopia.se": "loopia", "simply.com": "simply", "ns.joker.com": "joker", "nsone.net": "ns1", "ultradns.net": "ultradns", "akam.net": "edgedns",
	"mythic-beasts.com": "mythicbeasts", "dnsmadeeasy.com": "dnsmadeeasy", "cloudns.net": "cloudns", "exoscale.com": "exoscale", "exoscale.ch": "exoscale",
	"alidns.com": "alidns", "hichina.com": "alidns", "dnspod.net": "tencentcloud", "yandexcloud.net": "yandexcloud", "vercel-dns.com": "vercel",
	"kasserver.com": "allinkl", "hosttech.ch": "hosttech", "hyp.net": "domeneshop", "glesys.se": "glesys", "websupport.sk": "websupport",
	"dynu.com": "dynu", "easydns.com": "easydns", "rackspace.com": "rackspace", "stabletransit.com": "rackspace", "variomedia.de": "variomedia",
}

// providerOf returns the provider that name servers belong to, or "".
func providerOf(servers []string) string {
	for _, s := range servers {
		if strings.Contains(s, ".awsdns-") {
			return "route53"
		}
		for zone := s; zone != ""; _, zone, _ = strings.Cut(zone, ".") {
			if code := zones[zone]; code != "" {
				return code
			}
		}
	}
	return ""
}

// ownProvider returns the provider that changes the zones of a name server of one's own,
// or "". NSD takes no updates.
func ownProvider(nameserver string) string {
	return map[string]string{"named": "rfc2136", "knotd": "rfc2136", "pdns_server": "pdns", "nsd": persist}[nameserver]
}
