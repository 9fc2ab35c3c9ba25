package servers

import (
	"fmt"
	"path/filepath"
	"testing"
)

func TestCoturn(t *testing.T) {
	t.Parallel()
	r := newRig(t, "coturn")
	turnserver := program(t, "turnserver", "coturn")
	r.doors = []door{{25349, "tls"}}
	r.conf = filepath.Join(r.home, "turnserver.conf")
	write(t, r.conf, fmt.Sprintf(`listening-ip=%s
relay-ip=%s
listening-port=25478
tls-listening-port=25349
cert=%s
pkey=%s
no-cli
no-udp
no-dtls
realm=%s
log-file=stdout
pidfile=%s/pid
userdb=%s/turndb
`, r.address, r.address, path(r.d.Chain, plain), path(r.d.Key, plain), plain, mkdir(t, filepath.Join(r.home, "data"), "turnserver", 0o750), filepath.Join(r.home, "data")))
	r.begin()
	p := start(t, r.home, "turnserver", []string{turnserver, "-c", r.conf})
	// systemctl kill -s USR2 coturn; its unit has no ExecReload
	r.d.Reload = []string{"sh", "-c", kill("USR2", p)}
	r.started(p)

	r.tell(troubles{otherKey: "serves certificate", unreadable: "serves certificate", weak: "serves certificate"})
}
