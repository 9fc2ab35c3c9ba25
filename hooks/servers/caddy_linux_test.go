package servers

import "testing"

func TestCaddy(t *testing.T) {
	if !alone(t) {
		return
	}
	r := newRig(t, "caddy", readUnit(t, "caddy"), door{443, "https", "refused"})
	r.conf = "/etc/caddy/Caddyfile"
	sites := "{\nauto_https disable_redirects\n}\n" // port 80 is keypaird's here
	for _, target := range r.targets {
		sites += "https://" + target.name + " {\n" + r.setup(target.name) + "respond 204\n}\n"
	}
	write(t, r.conf, sites)
	r.tell(troubles{pair: "journalctl", owner: "journalctl", configuration: "journalctl"})
}
