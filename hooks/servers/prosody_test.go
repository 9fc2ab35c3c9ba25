package servers

import (
	"fmt"
	"path/filepath"
	"testing"
)

func TestProsody(t *testing.T) {
	t.Parallel()
	r := newRig(t, "prosody")
	startProsody(r, plain, host)
	r.tell(troubles{otherKey: "before TLS", unreadable: "before TLS", weak: "before TLS", configuration: "serves certificate"})
	r.beside()
}

// Prosody looks through its directory after the certificates are loaded, or
// before: so it may need a second reload until it knows of a file that was not
// there, and is not called after the host.
func TestProsodyAndANewFile(t *testing.T) {
	t.Parallel()
	r := newRig(t, "prosody")
	startProsody(r, plain)
	r.targets = append(r.targets, target{"others", []string{host}})
	r.renew("a new file")
}

// startProsody starts it with the first pairs of these targets.
func startProsody(r *rig, names ...string) {
	t := r.t
	t.Helper()
	r.targets = r.targets[:len(names)]
	prosody := program(t, "prosody", "prosody")
	r.doors = []door{{25222, "xmpp-client"}, {25269, "xmpp-server"}, {25223, "tls"}, {25281, "https"}}
	r.conf = filepath.Join(r.home, "prosody.cfg.lua")
	write(t, r.conf, fmt.Sprintf(`data_path = %q
pidfile = %q
interfaces = { %q }
certificates = %q
modules_enabled = { "saslauth", "tls", "dialback", "http" }
c2s_ports = { 25222 }
c2s_direct_tls_ports = { 25223 }
s2s_ports = { 25269 }
http_ports = { }
https_ports = { 25281 }
https_interfaces = { %q }
log = { info = "*console" }
VirtualHost %q
VirtualHost %q
`, mkdir(t, filepath.Join(r.home, "data"), "prosody", 0o750), filepath.Join(r.home, "data", "pid"), r.address,
		filepath.Dir(r.d.Chain), r.address, plain, host))
	r.begin()
	p := start(t, r.home, "prosody", []string{prosody, "-F", "--config", r.conf})
	// systemctl reload: ExecReload=/bin/kill -HUP $MAINPID
	r.d.Reload = []string{"sh", "-c", kill("HUP", p)}
	r.started(p)

}
