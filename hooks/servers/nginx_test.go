package servers

import (
	"fmt"
	"path/filepath"
	"testing"
)

func TestNginx(t *testing.T) {
	t.Parallel()
	r := newRig(t, "nginx")
	nginx := program(t, "nginx", "nginx")
	r.doors = []door{{25443, "https"}}
	r.conf = filepath.Join(r.home, "nginx.conf")
	block := func(name string) string {
		return fmt.Sprintf(`server { listen %s:25443 ssl; server_name %s; return 204;
ssl_certificate %s/fullchain.pem; ssl_certificate_key %s/privkey.pem; }
`, r.address, name, r.liveDir(name), r.liveDir(name))
	}
	write(t, r.conf, fmt.Sprintf(`daemon off;
pid %[1]s/pid;
events {}
http {
access_log off;
client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c;
uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
%[2]s%[3]s}
`, r.home, block(plain), block(host)))
	r.begin()
	where := []string{"-c", r.conf, "-e", filepath.Join(r.home, "error.log")}
	p := start(t, r.home, "", append([]string{nginx}, where...))
	// The preset's own commands, which do without a service manager.
	r.d.Check = append(r.d.Check, where...)
	r.d.Reload = append(r.d.Reload, where...)
	r.started(p)

	r.tell(troubles{otherKey: "key values mismatch", weak: "ee key too small", configuration: `unexpected "{"`})
}
