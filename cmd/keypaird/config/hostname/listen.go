package hostname

import (
	"net"
	"strconv"
	"strings"

	"keypaird/renew/problem"
)

// CheckListen checks "host:port", ":port" and "fd:NAME".
func CheckListen(addr, example string) error {
	if name, inherited := strings.CutPrefix(addr, "fd:"); inherited {
		if !(name != "" && IsToken(name)) {
			return problem.Newf("write the name of a socket of the service manager: "+strconv.Quote(example), "%q is not the name of a socket", name)
		}
		return nil
	}
	host, port, err := net.SplitHostPort(addr)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err == nil && perr == nil && n > 0 && (host == "" || IsHost(host)) {
		return nil
	}
	remedy := `write "127.0.0.1:8402", "[::1]:8402", or ":80" for all addresses`
	if strings.HasPrefix(addr, "*:") {
		remedy = "leave the * out: " + strconv.Quote(addr[1:])
	}
	return problem.Newf(remedy, "%q is not an address to listen on", addr)
}

// SameListener reports whether two addresses cannot both be listened on.
func SameListener(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	return a == b || errA == nil && errB == nil && portA == portB && (hostA == hostB || hostA == "" || hostB == "")
}

// IsToken reports whether s is a short word of letters, digits, dots, hyphens and
// underscores, or empty.
func IsToken(s string) bool {
	return len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	})
}
