package servers

import "testing"

// Direct TLS without SNI keeps what was there at the start.
var prosodyDoors = []door{{5222, "xmpp-client", ""}, {5269, "xmpp-server", ""}, {5223, "tls", "old"}, {5281, "https", "old"}}

func TestProsody(t *testing.T) {
	if !alone(t) {
		return
	}
	r := newProsody(t)
	r.tell(troubles{pair: notServed, configuration: notServed})
}

// The second half of the story, at the same time.
func TestProsodyAndFiles(t *testing.T) {
	if !alone(t) {
		return
	}
	r := newProsody(t)
	r.begin()
	r.trouble(troubles{owner: notServed, weak: notServed})
	r.beside()
}

// Prosody looks through its directory after the certificates are loaded, or
// before: so it may need a second reload until it knows of a file that was not
// there, and is not called after the host.
func TestProsodyAndANewFile(t *testing.T) {
	if !alone(t) {
		return
	}
	r := newProsody(t)
	all := r.targets
	r.targets = all[:1]
	r.configure("")
	r.begin()
	r.targets = all
	r.configure("")
	r.keypaird(0, "issue")
	r.deployed("a new file")
}

func newProsody(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, "prosody", readUnit(t, "prosody"), prosodyDoors...)
	r.conf = "/etc/prosody/prosody.cfg.lua"
	replace(t, r.conf, "\nVirtualHost \"localhost\"", "\nc2s_direct_tls_ports = { 5223 }\nhttps_interfaces = { \"*\" }\nVirtualHost \"localhost\"")
	for _, target := range r.targets {
		extend(t, r.conf, "VirtualHost \""+target.name+"\"\nmodules_enabled = { \"bosh\" }")
	}
	return r
}
