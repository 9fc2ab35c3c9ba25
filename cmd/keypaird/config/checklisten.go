package config

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

func (c *checker) http01() {
	h := c.cfg.HTTP01
	if h.Listen != "" {
		c.socket(path{"http-01", "listen"}, h.Listen, "fd:http")
	}
	p := path{"http-01", "webroot"}
	if h.Webroot == "" || !c.absolute(p, h.Webroot, "write the path from / on") {
		return
	}
	info, err := os.Stat(h.Webroot)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.wrong(p, "make the directory, and have the web server show it as /.well-known/acme-challenge/", "there is no directory %q", h.Webroot)
	case err != nil:
		c.wrong(p, "see that whoever runs keypaird can get there", "%s: %v", h.Webroot, plain(err))
	case !info.IsDir():
		c.wrong(p, "name the directory that the web server shows as /.well-known/acme-challenge/", "%s is not a directory", h.Webroot)
	}
}

func (c *checker) notify() { c.program(path{"notify", "command"}, c.cfg.Notify.Command) }

// maxSocket is how long the path of a unix socket may be, everywhere.
const maxSocket = 103

func (c *checker) status() {
	addr, p := c.cfg.Status.Listen, path{"status", "listen"}
	if addr == "" {
		return
	}
	if file, ok := strings.CutPrefix(addr, "unix:"); ok {
		if c.absolute(p, file, `write "unix:/run/keypaird.sock"`) && len(file) > maxSocket {
			c.wrong(p, "choose a shorter one", "the path of a socket has %d characters at most", maxSocket)
		}
		return
	}
	c.socket(p, addr, "fd:status")
	if c.cfg.HTTP01.Webroot == "" && (clash(addr, c.cfg.HTTP01.Listen) || addr == c.cfg.HTTP01.Listen) {
		c.wrong(p, `choose another port: "127.0.0.1:8403"`, "%q is taken by [http-01], which listens on %q", addr, c.cfg.HTTP01.Listen)
	}
}

// socket checks "host:port", ":port" and "fd:NAME".
func (c *checker) socket(p path, addr, example string) {
	name, inherited := strings.CutPrefix(addr, "fd:")
	switch {
	case !inherited:
		c.listen(p, addr)
	case name == "" || !plainToken.MatchString(name):
		c.wrong(p, "write the name of a socket of the service manager: "+strconv.Quote(example), "%q is not the name of a socket", name)
	}
}

// listen checks "host:port" and ":port".
func (c *checker) listen(p path, addr string) {
	host, port, err := net.SplitHostPort(addr)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err == nil && perr == nil && n > 0 && isHost(host) {
		return
	}
	remedy := `write "127.0.0.1:8402", "[::1]:8402", or ":80" for all addresses`
	if strings.HasPrefix(addr, "*:") {
		remedy = "leave the * out: " + strconv.Quote(addr[1:])
	}
	c.wrong(p, remedy, "%q is not an address to listen on", addr)
}

// isHost tells whether a server can be found by s: "" is every address.
func isHost(s string) bool {
	if s == "" {
		return true
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	name, err := NormalName(s)
	return err == nil && !strings.HasPrefix(name, "*") && !IsAddress(name)
}

// clash tells whether two addresses to listen on are one.
func clash(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	return errA == nil && errB == nil && portA == portB && (hostA == hostB || hostA == "" || hostB == "")
}
