package servers

import (
	"fmt"
	"path/filepath"
	"testing"
)

func TestHaproxy(t *testing.T) {
	t.Parallel()
	r := newRig(t, "haproxy")
	haproxy := program(t, "haproxy", "haproxy")
	r.doors = []door{{25443, "https"}}
	r.conf = filepath.Join(r.home, "haproxy.cfg")
	write(t, r.conf, fmt.Sprintf(`global
	user haproxy
	group haproxy
defaults
	mode http
	timeout client 5s
	timeout server 5s
	timeout connect 5s
frontend f
	bind %s:25443 ssl crt %s/
	http-request return status 204
`, r.address, filepath.Dir(r.d.Combined)))
	r.begin()
	p := start(t, r.home, "", []string{haproxy, "-W", "-db", "-f", r.conf})
	r.d.Check = []string{"haproxy", "-c", "-f", r.conf}
	// systemctl reload: ExecReload=/bin/kill -USR2 $MAINPID
	r.d.Reload = []string{"sh", "-c", kill("USR2", p)}
	r.started(p)

	r.tell(troubles{otherKey: "serves certificate", weak: "unable to load SSL certificate", configuration: "{{{"})
	r.beside()
}
