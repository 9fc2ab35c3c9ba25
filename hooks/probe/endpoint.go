package probe

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An Endpoint is an address and protocol at which a certificate is served.
type Endpoint struct {
	Proto string // one of Protos
	Host  string // a DNS name, or an IP address without brackets
	Port  uint16
}

// A protocol is the dialogue before TLS.
type protocol struct {
	name  string
	port  string                           // the default one, for remedies
	alpn  []string                         // sent in the handshake
	limit time.Duration                    // for the whole probe
	talk  func(c *chat, name string) error // dialogue before TLS; nil: none
}

// Time limits of one probe. A mail server may delay its greeting (RFC 5321, section
// 4.5.3.2.1), as postscreen does.
const (
	usualLimit = 15 * time.Second
	smtpLimit  = 45 * time.Second
)

var protocols = []protocol{
	{"tls", "443", nil, usualLimit, nil},
	{"https", "443", []string{"h2", "http/1.1"}, usualLimit, nil},
	{"xmpp-client", "5222", nil, usualLimit, xmppClient},
	{"xmpp-server", "5269", nil, usualLimit, xmppServer},
	{"smtp", "25", nil, smtpLimit, smtp},
	{"imap", "143", nil, usualLimit, imap},
	{"pop3", "110", nil, usualLimit, pop3},
	{"sieve", "4190", nil, usualLimit, sieve},
	{"ftp", "21", nil, usualLimit, ftp},
	{"ldap", "389", nil, usualLimit, ldap},
	{"postgres", "5432", nil, usualLimit, postgres},
	{"mysql", "3306", nil, usualLimit, mysql},
}

// Protos returns the names of all protocols, "tls" first.
func Protos() []string {
	names := make([]string, 0, len(protocols))
	for _, p := range protocols {
		names = append(names, p.name)
	}
	return names
}

// lookup returns the protocol called name, or nil.
func lookup(name string) *protocol {
	i := slices.IndexFunc(protocols, func(p protocol) bool { return p.name == name })
	if i < 0 {
		return nil
	}
	return &protocols[i]
}

// wellKnown are the protocols of ports on which nothing else is served.
var wellKnown = map[uint16]string{
	5222: "xmpp-client", 5269: "xmpp-server", 25: "smtp", 587: "smtp", 143: "imap", 110: "pop3", 4190: "sieve",
	21: "ftp", 389: "ldap", 5432: "postgres", 3306: "mysql",
}

// protoOf returns the protocol of a port if none is given.
func protoOf(port uint16) string { return cmp.Or(wellKnown[port], "tls") }

// ParseEndpoint parses "[proto:]host:port". The default protocol is that of a
// well-known port, else "tls". An IPv6 address must be in brackets.
func ParseEndpoint(s string) (Endpoint, error) {
	e, err := parse(s)
	if err != nil {
		return Endpoint{}, fmt.Errorf("endpoint %q: %w", s, err)
	}
	return e, nil
}

var errBrackets = errors.New(`an IPv6 address stands in brackets before its port: write "[address]:port"`)

func parse(s string) (Endpoint, error) {
	if proto, rest, ok := strings.Cut(s, "://"); ok {
		host, _, _ := strings.Cut(rest, "/")
		return Endpoint{}, fmt.Errorf("a URL, not an endpoint: write %q", proto+":"+withPort(host, proto))
	}
	if ip, err := netip.ParseAddr(s); err == nil && ip.Is6() {
		return Endpoint{}, errBrackets
	}
	proto, rest := "", s
	if head, tail, ok := strings.Cut(s, ":"); ok && !strings.HasPrefix(s, "[") {
		known := lookup(strings.ToLower(head)) != nil
		switch {
		case strings.Count(tail, ":") > 1 && !strings.Contains(tail, "["):
			return Endpoint{}, errBrackets
		case strings.Contains(tail, ":") && !known:
			return Endpoint{}, fmt.Errorf("unknown protocol %q: one of %s", head, strings.Join(Protos(), ", "))
		case strings.Contains(tail, ":"):
			proto, rest = strings.ToLower(head), tail
		case known && isPort(tail):
			return Endpoint{}, fmt.Errorf("is %q the protocol or the host? write \"%s:host:%s\" or %q", head, head, tail, "tls:"+s)
		case known:
			return Endpoint{}, fmt.Errorf("no port: write %q", head+":"+withPort(tail, head))
		}
	}
	return parseAddr(proto, rest)
}

// parseAddr parses "host:port". proto may be "".
func parseAddr(proto, s string) (Endpoint, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		prefix := proto + ":"
		if proto == "" || proto == "tls" {
			prefix = ""
		}
		return Endpoint{}, fmt.Errorf("no port: write %q", prefix+withPort(s, proto))
	}
	if !isPort(port) {
		return Endpoint{}, fmt.Errorf("port %q: a number from 1 to 65535", port)
	}
	n, _ := strconv.ParseUint(port, 10, 16)
	host, err = parseHost(host)
	if err != nil {
		return Endpoint{}, err
	}
	return Endpoint{Proto: cmp.Or(proto, protoOf(uint16(n))), Host: host, Port: uint16(n)}, nil
}

// parseHost checks a host and returns its canonical form.
func parseHost(host string) (string, error) {
	if host == "" {
		return "", errors.New("no host: write the address the proxy listens on, such as 127.0.0.1")
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.IsUnspecified() {
			return "", fmt.Errorf("%s is an address to listen on, not one to dial: write 127.0.0.1 or [::1]", host)
		}
		return ip.String(), nil
	}
	if len(host) > 253 {
		return "", fmt.Errorf("host has %d characters: at most 253", len(host))
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return "", fmt.Errorf("host %q: %q is not a label of a DNS name", host, label)
		}
	}
	for _, r := range host {
		if r >= 0x80 {
			return "", fmt.Errorf("host %q: write it in its ASCII form (xn--…)", host)
		}
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", r) {
			return "", fmt.Errorf("host %q: %q cannot be in a DNS name", host, r)
		}
	}
	return strings.ToLower(host), nil
}

// isPort reports whether s is a port number.
func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// withPort adds the default port of proto to host, for a remedy.
func withPort(host, proto string) string {
	if h, _, err := net.SplitHostPort(host); err == nil && h != "" {
		return host
	}
	port := "443"
	if p := lookup(strings.ToLower(proto)); p != nil {
		port = p.port
	}
	if host == "" {
		host = "host"
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}

// Addr returns "host:port" for net.Dial.
func (e Endpoint) Addr() string {
	return net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
}

// String returns a form that ParseEndpoint accepts, without the protocol if it is
// "tls" and that is the default.
func (e Endpoint) String() string {
	if (e.Proto == "" || e.Proto == "tls") && lookup(e.Host) == nil && protoOf(e.Port) == "tls" {
		return e.Addr()
	}
	if e.Proto == "" {
		return "tls:" + e.Addr()
	}
	return e.Proto + ":" + e.Addr()
}
