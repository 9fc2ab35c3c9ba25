package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// checkTLSA checks the names of TLSA records.
func (c *checker) checkTLSA(p path, cert Cert) []string {
	var out []string
	names := slices.Concat(cert.HTTP01, cert.DNS01, cert.DNSPersist01)
	for _, s := range cert.TLSA {
		name, host, why := TLSAName(s)
		switch {
		case why != "":
			c.report(p, `write port, protocol and host: "_25._tcp.mx1.example.org"`, "%q %s", s, why)
		case slices.Contains(out, name):
			c.report(p, "name it once", "%q stands twice", s)
		case !slices.ContainsFunc(names, func(n string) bool { return Covers(n, host, false) }):
			c.report(p, "name a host that stands under http-01, dns-01 or dns-persist-01 here", "%q is about %q, which this certificate is not for", s, host)
		default:
			out = append(out, name)
		}
	}
	return out
}

// TLSAName parses the name of TLSA records (RFC 6698, section 3). why is not empty
// if it is none.
func TLSAName(s string) (name, host, why string) {
	port, rest, _ := strings.Cut(strings.TrimSpace(s), ".")
	proto, rest, _ := strings.Cut(rest, ".")
	proto = strings.ToLower(proto)
	digits, underscore := strings.CutPrefix(port, "_")
	n, err := strconv.ParseUint(digits, 10, 16)
	switch {
	case !underscore || err != nil || n == 0 || strings.HasPrefix(digits, "0"):
		return "", "", "does not begin with a port such as _25"
	case !slices.Contains([]string{"_tcp", "_udp", "_sctp"}, proto):
		return "", "", "has no protocol, _tcp, _udp or _sctp, in second place"
	}
	host, err = NormalName(rest)
	switch {
	case err != nil:
		return "", "", fmt.Sprintf("is about %q, which %v", rest, err)
	case IsAddress(host), strings.HasPrefix(host, "*."):
		return "", "", fmt.Sprintf("is about %q, which is no host", rest)
	}
	return strings.Join([]string{port, proto, host}, "."), host, ""
}
