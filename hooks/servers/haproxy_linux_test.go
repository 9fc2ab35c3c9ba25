package servers

import "testing"

func TestHaproxy(t *testing.T) {
	if !alone(t) {
		return
	}
	r := newRig(t, "haproxy", readUnit(t, "haproxy"), door{443, "https", ""})
	r.conf = "/etc/haproxy/haproxy.cfg"
	extend(t, r.conf, "frontend example\n"+r.setup("")+"http-request return status 204")
	r.tell(troubles{pair: "journalctl", harmless: true, weak: "unable to load SSL certificate", configuration: "{{{"})
	r.beside()
}
