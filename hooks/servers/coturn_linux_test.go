package servers

import "testing"

func TestCoturn(t *testing.T) {
	if !alone(t) {
		return
	}
	r := newRig(t, "coturn", readUnit(t, "coturn"), door{5349, "tls", ""})
	r.conf = "/etc/turnserver.conf"
	extend(t, r.conf, r.setup(plain)+"listening-ip=127.0.0.1\nrelay-ip=127.0.0.1\nrealm="+plain)
	r.tell(troubles{pair: notServed, owner: notServed, weak: notServed, unread: true})
}
