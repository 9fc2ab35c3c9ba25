package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os/user"
	"regexp"
	"slices"
	"strings"

	"keypaird/acme/dns01"
)

var (
	variable  = regexp.MustCompile(`^([A-Z][A-Z0-9_]*|TF_VAR_[a-z_]+)$`) // oraclecloud knows both
	secretive = regexp.MustCompile(`SECRET|TOKEN|PASS|KEY|HMAC|CREDENTIAL|SIGNATURE|OTP|SERVICE_ACCOUNT|_PWD$|_PW$`)
	harmless  = regexp.MustCompile(`TSIG_KEY$|_(ID|ALGORITHM|KEY_NAME|URL|ENDPOINT|TTL|TIMEOUT|INTERVAL|PATH|LOCATION)$`) // TSIG_KEY is the key's name
	userInfo  = regexp.MustCompile(`://[^/@\s]*:[^/@\s]*@`)
)

// isSecret tells whether a variable is likely to hold a secret.
func isSecret(key, value string) bool {
	return secretive.MatchString(key) && !harmless.MatchString(key) ||
		strings.Contains(value, "PRIVATE KEY-----") || userInfo.MatchString(value)
}

func (c *checker) dns(name string, d DNS) {
	p := path{"dns", name}
	c.tableName(p, name)
	if name == persist {
		c.wrong(p, "call the account something else", `"persist" stands for dns-persist-01`)
	}
	switch {
	case d.Provider == "":
		c.wrong(p.in("provider"), "name one of those that keypaird dns lists", "is missing")
	case !plainToken.MatchString(d.Provider):
		c.wrong(p.in("provider"), "name one of those that keypaird dns lists", "%q is not a provider", d.Provider)
	}
	for _, key := range slices.Sorted(maps.Keys(d.Env)) {
		c.variable(p.in("env", key), d, key, d.Env[key])
	}
	for i, addr := range d.Resolvers {
		if ip, err := netip.ParseAddr(TrimBrackets(addr)); err == nil {
			d.Resolvers[i] = net.JoinHostPort(ip.String(), "53")
		} else if ap, err := netip.ParseAddrPort(addr); err != nil || ap.Port() == 0 {
			c.wrong(p.in("resolvers"), `write addresses: ["192.0.2.53", "[2001:db8::53]:53"]`, "%q is not the address of a resolver", addr)
		}
	}
	if d.Propagation.Duration == 0 {
		d.Propagation.Duration = dns01.DefaultPropagation
	}
	if d.User != "" {
		if _, err := user.Lookup(d.User); err != nil {
			c.wrong(p.in("user"), "make the user, or leave the key out", "there is no user %q", d.User)
		}
	}
	c.cfg.DNS[name] = d
}

// variable checks one variable of a DNS provider.
func (c *checker) variable(p path, d DNS, key, value string) {
	base, isFile := strings.CutSuffix(key, "_FILE")
	_, twice := d.Env[base]
	switch {
	case !variable.MatchString(key):
		c.wrong(p, "write it in capitals, as keypaird dns lists it for the provider", "%q is not the name of a variable", key)
	case key == "SSL_CERT_FILE": // no secret: roots for the provider's own TLS
		c.absolute(p, value, "write the path from / on")
	case isFile && twice:
		c.wrong(p, "leave one of them out", "%s is given twice, as it is and by a file", base)
	case isFile:
		c.secretFile(p, value)
	case strings.ContainsRune(value, 0):
		c.wrong(p, "leave it out", "the value holds a null character")
	case value != "" && !c.private && isSecret(key, value):
		c.wrong(p, fmt.Sprintf("chmod go= %s, or put the value in a file and write %s_FILE", c.file, key), "holds a secret, and others can read the configuration")
	}
}
