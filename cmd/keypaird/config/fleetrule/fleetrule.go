// Package fleetrule knows the nodes of [fleet.nodes], and checks values of [fleet]. Each
// error comes with a remedy.
package fleetrule

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"keypaird/renew/problem"
)

const endpointRemedy = `write "https://10.0.0.1:2379"`

// Endpoint checks the address of a member of the engine: https, or http of this machine.
func Endpoint(s string) error {
	u, err := url.Parse(s)
	switch {
	case err == nil && u.User != nil:
		return problem.New("a URL has a user name or a password in it", "set user and password_file, or tls")
	case err != nil || u.Scheme == "" || u.Hostname() == "" || strings.Trim(u.Path, "/")+u.RawQuery+u.Fragment != "":
		return problem.Newf(endpointRemedy, "%q is not the URL of an engine", s)
	case u.Scheme != "https" && u.Scheme != "http":
		return problem.Newf(endpointRemedy, "%q is neither https nor http", s)
	case u.Port() == "":
		return problem.Newf("write the port, of etcd 2379: "+strconv.Quote(u.Scheme+"://"+net.JoinHostPort(u.Hostname(), "2379")), "%q has no port", s)
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return problem.Newf("let it listen with TLS, and write https://"+u.Host, "%q is not encrypted, and not on this machine", s)
	}
	return nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Prefix checks what all keys of a fleet begin with.
func Prefix(s string) error {
	plain := func(c rune) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("/._-", c)
	}
	switch trimmed := strings.Trim(s, "/"); {
	case trimmed == "":
		return problem.Newf(`write a name between slashes: "/keypaird/"`, "%q is no prefix of its own", s)
	case strings.Trim(trimmed, "/ \t") != "" && s != "/"+trimmed+"/":
		return problem.Newf("write it between slashes: "+strconv.Quote("/"+trimmed+"/"), "%q does not begin and end with one slash", s)
	case strings.Contains(trimmed, "//") || len(s) > 200 || strings.ContainsFunc(s, func(c rune) bool { return !plain(c) }):
		return problem.Newf("use a-z A-Z 0-9 . _ - between single slashes, at most 200 characters", "%q cannot be a prefix", s)
	}
	return nil
}
