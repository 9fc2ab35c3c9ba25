package initial

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	configfile "keypaird/cmd/keypaird/config/file"

	"keypaird/hooks"
	"keypaird/hooks/command"
	"keypaird/hooks/preset"
	"keypaird/hooks/probe"
	"keypaird/renew/problem"
	"keypaird/renew/sockets"
)

// A machine contains the facts about this machine.
type machine struct {
	hostname string
	servers  []server
	port80   bool   // something listens there
	socket   string // haproxy's stats socket with level admin, or ""
	nameserv string // the name server that runs or is installed: "named", "knotd", "nsd", "pdns_server" or ""
}

// A server is one with a preset that is installed.
type server struct {
	preset  string
	runs    bool
	certs   preset.Named // that its configuration names
	certify []string     // names on them
}

// programs says by what program the server of a preset is found, and its process is
// called, if that is not the name of the preset.
var programs = map[string]string{
	"apache": "apachectl", "ejabberd": "ejabberdctl", "prosody": "prosodyctl", "postfix": "postconf", "dovecot": "doveconf",
	"coturn": "turnserver", "mumble": "murmurd", "synapse": "synapse_homeserver",
}

// look returns what this machine says.
func look(ctx context.Context) *machine {
	m := &machine{port80: listens("80"), nameserv: nameServer()}
	if text, err := configfile.ReadSmall("/etc/haproxy/haproxy.cfg"); err == nil {
		if found := adminSocket().FindSubmatch(text); found != nil {
			m.socket = string(found[1])
		}
	}
	m.hostname, _ = os.Hostname()
	m.hostname = strings.ToLower(m.hostname)
	for _, name := range preset.Names() {
		if !installed(name) {
			continue
		}
		s := server{preset: name, runs: running(ctx, name)}
		if d, ok := preset.Lookup(name); ok {
			s.certs, _, _ = preset.Configured(ctx, name, &d)
		}
		for _, path := range s.certs {
			s.certify = append(s.certify, namesIn(path)...)
		}
		m.servers = append(m.servers, s)
	}
	return m
}

// adminSocket matches the stats socket by which haproxy changes pairs.
var adminSocket = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?m)^[ \t]*stats[ \t]+socket[ \t]+(/[^\s"{}]+)[^\n]*[ \t]level[ \t]+admin\b`)
})

// installed reports whether the server of a preset is.
func installed(name string) bool {
	program := name
	if p, other := programs[name]; other {
		program = p
	}
	switch {
	case name == "apache" && runtime.GOOS == "openbsd":
		program = "apachectl2"
	case name == "httpd" && runtime.GOOS != "openbsd": // others call Apache so
		return false
	case name == "exim", name == "opensmtpd": // systems have them for mail of their own
		return false
	}
	return command.SearchPath(program) != ""
}

// running reports whether a server runs, as far as its process and its ports show it.
func running(ctx context.Context, name string) bool {
	var ports []string
	for _, e := range preset.UsualEndpoints(name) {
		if p, err := probe.ParseEndpoint(e); err == nil {
			ports = append(ports, strconv.Itoa(int(p.Port)))
		}
	}
	if slices.Contains(webServers, name) {
		ports = append(ports, "80")
	}
	return slices.ContainsFunc(ports, listens) && !preset.Stopped(ctx, name)
}

// webServers can have port 80, the first that comes to mind first.
var webServers = []string{"nginx", "haproxy", "apache", "caddy", "lighttpd", "relayd", "httpd"}

// listens reports whether something on this machine listens on a TCP port.
func listens(port string) bool {
	for _, host := range []string{"127.0.0.1", "::1"} {
		conn, err := sockets.Dial(context.Background(), net.Dialer{Timeout: time.Second}, "tcp", net.JoinHostPort(host, port))
		if err == nil {
			conn.Close()
			return true
		}
	}
	l, err := sockets.Listen(context.Background(), "tcp", ":"+port)
	if err == nil {
		l.Close()
	}
	return errors.Is(err, syscall.EADDRINUSE)
}

// nameServer returns the name server of this machine, the one that runs first.
func nameServer() string {
	for _, name := range []string{"named", "knotd", "pdns_server", "nsd"} {
		if command.SearchPath(name) != "" && listens("53") {
			return name
		}
	}
	return ""
}

// maxNames bounds the names that are read from certificates.
const maxNames = 50

// namesIn returns the names on the certificates in a file that a server uses.
func namesIn(path string) (list []string) {
	if !filepath.IsAbs(path) {
		return nil
	}
	data, err := configfile.ReadSmall(path)
	if err != nil {
		return nil
	}
	for block, rest := pem.Decode(data); block != nil && len(list) < maxNames; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil && !cert.IsCA {
			list = append(list, cert.DNSNames...)
		}
	}
	return list
}

// server returns the installed server of a preset, or nil.
func (m *machine) server(name string) *server {
	for i := range m.servers {
		if m.servers[i].preset == name {
			return &m.servers[i]
		}
	}
	return nil
}

// component matches the components in Prosody's configuration.
var component = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?m)^[ \t]*Component[ \t(]*["']([^"']+)["']`) })

// prosodyFiles returns the files of Prosody's configuration.
func prosodyFiles() (files []string) {
	for _, pattern := range []string{"prosody.cfg.lua", "conf.d/*.cfg.lua"} {
		for _, etc := range []string{"/etc", "/usr/local/etc", "/usr/pkg/etc"} {
			found, _ := filepath.Glob(filepath.Join(etc, "prosody", pattern))
			files = append(files, found...)
		}
	}
	return files
}

// prosodyComponents returns the components of a domain that Prosody is set up for.
func prosodyComponents(domain string) (list []string) {
	for _, file := range prosodyFiles() {
		data, _ := configfile.ReadSmall(file)
		for _, m := range component().FindAllStringSubmatch(string(data), -1) {
			c, err := name(m[1])
			if err == nil && strings.HasSuffix(c, "."+domain) && !slices.Contains(list, c) {
				list = append(list, c)
			}
		}
	}
	return list
}

// group returns a group of this machine for the files of a server, or "": Debian 13 calls
// some with an underscore.
func group(name string) string {
	for _, g := range []string{name, "_" + name} {
		if _, err := hooks.LookupGroup(g); err == nil {
			return g
		}
	}
	return ""
}

// ourGroup returns the group of the user that the service runs as, or -1: there is none,
// or this is not root.
func ourGroup() int {
	if _, err := user.Lookup("keypaird"); err != nil || os.Geteuid() != 0 {
		return -1
	}
	gid, err := hooks.LookupGroup("keypaird")
	if err != nil {
		return -1
	}
	return gid
}

// checkServers checks the presets that are deployed to: those that write files need the
// group of the server on this machine.
func checkServers(servers []string) error {
	for _, s := range servers {
		d, ok := preset.Lookup(s)
		if !ok {
			return preset.Unknown(s)
		}
		if g := group(d.Group); g == "" && len(d.Outputs()) > 0 {
			return problem.Newf("install the server first, or leave it out", "%s is not installed here: there is no group %q", s, d.Group)
		}
	}
	return nil
}
