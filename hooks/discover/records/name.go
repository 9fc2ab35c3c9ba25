package records

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"keypaird/renew/problem"
)

// NameError returns the error for a domain or server name that is not valid.
func NameError(name, why string) error {
	return problem.Newf("write the part after the colon of a Matrix ID or after the @ of an address, such as example.org",
		"name %.300q: %s", name, why)
}

// A ServerName is the part after the colon of the Matrix ID "@ann:example.org", or
// the value of m.server in a well-known document.
type ServerName struct {
	Host string     // in lower case; an IP address without brackets
	IP   netip.Addr // valid if Host is an IP literal
	Port uint16     // zero: none
}

// ParseServerName parses a server name by the grammar of the Matrix
// specification, appendix "Server Name". Labels must also follow the rules for
// host names, which the grammar does not require: peers could not resolve others.
func ParseServerName(s string) (ServerName, error) {
	n, err := parseServerName(s)
	if err != nil {
		return ServerName{}, NameError(s, err.Error())
	}
	return n, nil
}

func parseServerName(s string) (n ServerName, err error) {
	if strings.Contains(s, "/") {
		return n, errors.New("write only the name, without https:// and path")
	}
	host, port, hasPort := s, "", false
	if rest, ok := strings.CutPrefix(s, "["); ok {
		inner, after, ok := strings.Cut(rest, "]")
		if !ok {
			return n, errors.New("no closing bracket")
		}
		if n.IP, err = parseIPv6(inner); err != nil {
			return n, err
		}
		host = n.IP.String()
		if after != "" {
			if port, hasPort = strings.CutPrefix(after, ":"); !hasPort {
				return n, errors.New("only a port may follow the bracket")
			}
		}
	} else {
		host, port, hasPort = strings.Cut(s, ":")
		if strings.Contains(port, ":") {
			return n, errors.New("an IPv6 address must be in brackets")
		}
	}
	if hasPort {
		if n.Port, err = ParsePort(port); err != nil {
			return n, err
		}
	}
	if n.IP.IsValid() {
		n.Host = host
		return n, nil
	}
	if dotted(host) {
		if n.IP, err = netip.ParseAddr(host); err != nil {
			return n, errors.New("not an IPv4 address")
		}
	} else if why := HostFault(host, false); why != "" {
		return n, errors.New(why)
	}
	n.Host = strings.ToLower(host)
	return n, nil
}

func parseIPv6(s string) (netip.Addr, error) {
	for _, r := range s { // no zones
		if !strings.ContainsRune("0123456789abcdefABCDEF:.", r) {
			return netip.Addr{}, fmt.Errorf("%q cannot be in an IPv6 address", r)
		}
	}
	ip, err := netip.ParseAddr(s)
	if err != nil || !ip.Is6() {
		return netip.Addr{}, errors.New("not an IPv6 address between the brackets")
	}
	return ip, nil
}

// ParsePort parses a port of one to five digits.
func ParsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 17)
	if len(s) == 0 || len(s) > 5 || err != nil || n == 0 || n > 65535 || strings.Trim(s, "0123456789") != "" {
		return 0, errors.New("a port is a number from 1 to 65535")
	}
	return uint16(n), nil
}

// dotted reports whether s has the form of an IPv4 address.
func dotted(s string) bool {
	parts := strings.Split(s, ".")
	for _, p := range parts {
		if p == "" || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return len(parts) == 4
}

// HostFault returns why s is not a host name, or "". Hosts should not have names
// with underscores (RFC 8552), but some have.
func HostFault(s string, underscores bool) string {
	switch {
	case s == "":
		return "no host"
	case len(s) > 253:
		return fmt.Sprintf("%d characters: at most 253", len(s))
	case dotted(s):
		return fmt.Sprintf("%s is an address, not a name", s)
	}
	for _, r := range s {
		switch {
		case r >= 0x80:
			return "write it in its ASCII form (xn--…)"
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '.':
		case r == '_' && underscores:
		default:
			return fmt.Sprintf("%q cannot be in a host name", r)
		}
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return fmt.Sprintf("%q is not a label of a host name", label)
		}
	}
	return ""
}

// String returns the name in the form that ParseServerName parses.
func (n ServerName) String() string {
	host := n.Host
	if n.IP.Is6() {
		host = "[" + host + "]"
	}
	if n.Port != 0 {
		return host + ":" + strconv.Itoa(int(n.Port))
	}
	return host
}

// HostPort returns the authority of a URL, with the port if it is not 443.
func HostPort(host string, port uint16) string {
	if port == 443 {
		if strings.Contains(host, ":") {
			return "[" + host + "]"
		}
		return host
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// Within reports whether name is domain or a subdomain of it.
func Within(name, domain string) bool {
	return name == domain || strings.HasSuffix(name, "."+domain)
}

// Canonical returns a DNS name in lower case, without the final dot.
func Canonical(s string) string { return strings.ToLower(strings.TrimSuffix(s, ".")) }
