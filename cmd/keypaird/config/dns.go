package config

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"

	"keypaird/acme/dns01"
	"keypaird/acme/dns01/need"
	"keypaird/acme/dns01/redact"
	"keypaird/cmd/keypaird/config/hostname"
	"keypaird/renew/problem"
	"keypaird/renew/textfmt"
)

var variablePattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([A-Z][A-Z0-9_]*|TF_VAR_[a-z_]+)$`) }) // oraclecloud knows both
const persist = "persist"                                                                                                       // as a value of dns: by dns-persist-01

func (c *checker) checkDNS(name string, d DNS) {
	p := path{"dns", name}
	c.checkTableName(p, name)
	c.reportIf(name == persist, p, "call the account something else", `"persist" stands for dns-persist-01`)
	c.checkProvider(p.child("provider"), d.Provider)
	for _, key := range slices.Sorted(maps.Keys(d.Env)) {
		c.checkVariable(p.child("env", key), d, key, d.Env[key])
	}
	for i, addr := range d.Resolvers {
		if ip, err := netip.ParseAddr(hostname.TrimBrackets(addr)); err == nil {
			d.Resolvers[i] = net.JoinHostPort(ip.String(), "53")
		} else if ap, err := netip.ParseAddrPort(addr); err != nil || ap.Port() == 0 {
			c.report(p.child("resolvers"), `write addresses: ["192.0.2.53", "[2001:db8::53]:53"]`, "%q is not the address of a resolver", addr)
		}
	}
	d.Propagation.Duration = cmp.Or(d.Propagation.Duration, dns01.DefaultPropagation)
	if d.User != "" && c.cfg.OrdersHere() || !c.noSecrets { // without it, only what starts the child is refused
		if _, err := need.User(d.User); err != nil {
			c.report(p.child("user"), problem.Remedy(err), "%v", err)
		}
	}
	c.cfg.DNS[name] = d
}

// providersText lists the DNS providers that keypaird-dns of this version knows.
//
//go:embed providers.txt
var providersText string

// checkProvider checks the code of a DNS provider.
func (c *checker) checkProvider(p path, code string) {
	const remedy = "name one of those that keypaird dns lists"
	known := strings.Fields(providersText)
	switch {
	case code == "":
		c.report(p, remedy, "is missing")
	case code == "manual":
		c.report(p, `publish a record once instead: dns = "persist"`, "%q waits for a person at a terminal", code)
	case slices.Contains(known, code):
	case !hostname.IsToken(code):
		c.report(p, remedy, "%q is not a provider", code)
	case c.hasProvider == nil || !c.hasProvider(code):
		hint, near := remedy, cmp.Or(need.Meant(code), textfmt.Nearest(code, known))
		if near != "" {
			hint = fmt.Sprintf("did you mean %q? keypaird dns lists all", near)
		}
		c.report(p, hint, "there is no DNS provider %q", code)
	}
}

// checkVariable checks one variable of a DNS provider.
func (c *checker) checkVariable(p path, d DNS, key, value string) {
	base, isFile := strings.CutSuffix(key, "_FILE")
	_, twice := d.Env[base]
	switch {
	case !variablePattern().MatchString(key):
		c.report(p, "write it in capitals, as keypaird dns lists it for the provider", "%q is not the name of a variable", key)
	case key == "SSL_CERT_FILE": // no secret: roots for the provider's own TLS
		c.checkAbsolute(p, value, "write the path from / on")
	case isFile && twice:
		c.report(p, "leave one of them out", "%s is given twice, as it is and by a file", base)
	case isFile:
		data, ok := c.readSecret(p, value)
		c.reportIf(ok && !c.noSecrets && len(bytes.TrimSpace(data)) == 0, p, "put the "+base+" there", "%s is empty", value)
	case strings.ContainsRune(value, 0):
		c.report(p, "leave it out", "the value holds a null character")
	case value != "" && !c.private && redact.IsSecret(key, value):
		c.report(p, fmt.Sprintf("chmod go= %s, or put the value in a file and write %s_FILE", c.file, key), "holds a secret, and others can read the configuration")
	}
}

// checkAccount checks a reference to a [dns] table.
func (c *checker) checkAccount(p path, name string) {
	if _, ok := c.cfg.DNS[name]; ok || name == "" || name == persist {
		return
	}
	remedy := "add a table [" + path{"dns", name}.String() + "]"
	if near := textfmt.Nearest(name, append(slices.Collect(maps.Keys(c.cfg.DNS)), persist)); near != "" {
		remedy = suggest(name, []string{near})
	}
	c.report(p, remedy, "there is no table [%v]", path{"dns", name})
}
