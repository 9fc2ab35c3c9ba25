package config

import (
	"cmp"
	"errors"
	"io/fs"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"keypaird/cmd/keypaird/config/hostname"
	"keypaird/cmd/keypaird/schedule"
	"keypaird/renew/durable"
	"keypaird/renew/problem"
)

func (c *checker) checkTop() {
	cfg := c.cfg
	c.reportIf(cfg.Email != "" && !isMailAddress(cfg.Email), path{"email"}, `write one address and nothing else: "hostmaster@example.org"`, "%q is not a mail address", cfg.Email)
	state, remedy := path{"state"}, "write the path from / on"
	if !c.isSet(state) {
		remedy = `$STATE_DIRECTORY says so: correct it, or set state`
	}
	c.reportIf(c.checkAbsolute(state, cfg.State, remedy) && filepath.Clean(cfg.State) == "/", state, `give keypaird a directory of its own: "/var/lib/keypaird"`, "is the root directory")
	cfg.State = filepath.Clean(cfg.State)
	c.reportIf(cfg.Parallel < 1 || cfg.Parallel > 64, path{"parallel"}, "write a number from 1 to 64", "%d is out of range", cfg.Parallel)
	c.reportIf(len(cfg.SignWith) == 0, path{"sign_with"}, `name a CA: ["letsencrypt"]`, "names no CA")
	c.reportIf(cfg.Key == "", path{"key"}, "write one of: "+strings.Join(keyTypes, " "), "is empty")
	c.checkSettings(nil, cfg.Key, &cfg.Profile, cfg.SignWith)
	c.checkSchedules()
}

// isMailAddress reports whether s can stand behind "mailto:" (RFC 8555, section
// 7.3: one address, no header fields).
func isMailAddress(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && !strings.ContainsAny(s, `?&%,"`) && isHost(s[strings.LastIndex(s, "@")+1:])
}

func (c *checker) checkHTTP01() {
	h := c.cfg.HTTP01
	if h.Listen != "" {
		c.checkListen(path{"http-01", "listen"}, h.Listen, "fd:http")
	}
	c.checkListen(path{"tls-alpn", "listen"}, c.cfg.TLSALPN.Listen, "fd:tls-alpn")
	c.checkFree("tls-alpn", c.cfg.TLSALPN.Listen, "http-01", h.Listen, "127.0.0.1:8404")
	p := path{"http-01", "webroot"}
	if h.Webroot == "" || !c.checkAbsolute(p, h.Webroot, "write the path from / on") {
		return
	}
	info, err := os.Stat(h.Webroot)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.report(p, "make the directory, and have the web server show it as /.well-known/acme-challenge/", "there is no directory %q", h.Webroot)
	case err != nil:
		c.report(p, "let the user who runs keypaird enter its directories", "%s: %v", h.Webroot, durable.Cause(err))
	case !info.IsDir():
		c.report(p, "name the directory that the web server shows as /.well-known/acme-challenge/", "%s is not a directory", h.Webroot)
	}
}

func (c *checker) checkStatus() {
	for _, name := range c.cfg.Status.Names {
		c.reportIf(!isHost(name), path{"status", "names"}, `write the name alone, such as "status.example.org"`, "%q is not the name of a host", name)
	}
	addr, p := c.cfg.Status.Listen, path{"status", "listen"}
	file, isUnix := strings.CutPrefix(addr, "unix:")
	switch {
	case addr == "":
	case isUnix:
		absolute := c.checkAbsolute(p, file, `write "unix:/run/keypaird.sock"`)
		c.reportIf(absolute && len(file) > 103, p, "choose a shorter one", "the path of a socket has 103 characters at most") // in every system
	default:
		c.checkListen(p, addr, "fd:status")
		c.checkFree("status", addr, "tls-alpn", c.cfg.TLSALPN.Listen, "127.0.0.1:8403")
		c.checkFree("status", addr, "http-01", c.cfg.HTTP01.Listen, "127.0.0.1:8403")
	}
}

// checkFree reports an address where another table listens, if that is in use.
func (c *checker) checkFree(table, addr, other, taken, free string) {
	idle := other == "http-01" && c.cfg.HTTP01.Webroot != "" || other == "tls-alpn" && !c.isSet(path{other, "listen"}) || !c.isSet(path{table, "listen"})
	c.reportIf(!idle && sameListener(addr, taken), path{table, "listen"}, "choose another port: "+strconv.Quote(free), "%q is taken by [%s], which listens on %q", addr, other, taken)
}

// checkListen checks "host:port", ":port" and "fd:NAME".
func (c *checker) checkListen(p path, addr, example string) {
	if name, inherited := strings.CutPrefix(addr, "fd:"); inherited {
		c.reportIf(name == "" || !isToken(name), p, "write the name of a socket of the service manager: "+strconv.Quote(example), "%q is not the name of a socket", name)
		return
	}
	host, port, err := net.SplitHostPort(addr)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err == nil && perr == nil && n > 0 && (host == "" || isHost(host)) {
		return
	}
	remedy := `write "127.0.0.1:8402", "[::1]:8402", or ":80" for all addresses`
	if strings.HasPrefix(addr, "*:") {
		remedy = "leave the * out: " + strconv.Quote(addr[1:])
	}
	c.report(p, remedy, "%q is not an address to listen on", addr)
}

// isHost reports whether s is an address or the name of a server.
func isHost(s string) bool {
	name, err := hostname.Normal(s)
	return hostname.IsAddress(s) || err == nil && !strings.HasPrefix(name, "*") && !hostname.IsAddress(name)
}

// sameListener reports whether two addresses cannot both be listened on.
func sameListener(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	return a == b || errA == nil && errB == nil && portA == portB && (hostA == hostB || hostA == "" || hostB == "")
}

// checkSchedules refuses times that the library panics on, spins on or never comes
// to.
func (c *checker) checkSchedules() {
	c.checkCron(path{"schedule"}, c.cfg.Schedule, `write a cron line of five fields, or "@every 30m"`)
	const remedy = `write the minutes as a cron line of five fields: "* 3 * * *"`
	p, window := path{"window"}, c.cfg.Window
	switch _, times, _ := schedule.CutZone(window); {
	case strings.HasPrefix(times, "@"):
		c.report(p, remedy, "%q names no minutes", window)
	case window != "":
		c.checkCron(p, window, remedy)
	}
}

func (c *checker) checkCron(p path, spec, remedy string) {
	s, err := schedule.Parse(spec)
	every, interval := s.(cron.ConstantDelaySchedule)
	switch {
	case err != nil:
		c.report(p, cmp.Or(problem.Remedy(err), remedy), "%v", err)
	case interval && every.Delay < time.Minute:
		c.report(p, `write at least "@every 1m"`, "%q is too often", spec)
	case interval && every.Delay > 31*24*time.Hour:
		c.report(p, `write at most "@every 744h"`, "%q is too seldom", spec)
	case !interval && s.Next(time.Now()).IsZero():
		c.report(p, remedy, "%q never happens: no time matches it", spec)
	}
}
