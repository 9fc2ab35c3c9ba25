package servers

import "testing"

func TestMumble(t *testing.T) {
	if !alone(t) {
		return
	}
	r := newRig(t, "mumble", initUnit("mumble-server", "/run/mumble-server/mumble-server.pid"), door{64738, "tls", ""})
	r.conf = "/etc/mumble-server.ini"
	replace(t, r.conf, "\n[Ice]", "\n"+r.setup(plain)+"[Ice]")
	r.tell(troubles{pair: notServed, owner: notServed, weak: notServed, unread: true})
}
