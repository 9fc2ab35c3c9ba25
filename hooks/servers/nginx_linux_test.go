package servers

import "testing"

func TestNginx(t *testing.T) {
	if !alone(t) {
		return
	}
	r := newRig(t, "nginx", readUnit(t, "nginx"), door{443, "https", ""})
	r.remove("/etc/nginx/sites-enabled/default")
	r.conf = "/etc/nginx/sites-enabled/example"
	sites := ""
	for _, target := range r.targets {
		sites += "server {\nlisten 443 ssl;\nserver_name " + target.name + ";\n" + r.setup(target.name) + "return 204;\n}\n"
	}
	write(t, r.conf, sites)
	r.tell(troubles{pair: "key values mismatch", weak: "ee key too small", configuration: `unexpected "{"`})
}
