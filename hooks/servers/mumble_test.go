package servers

import (
	"fmt"
	"path/filepath"
	"testing"
)

func TestMumble(t *testing.T) {
	t.Parallel()
	r := newRig(t, "mumble")
	murmurd := program(t, "murmurd", "mumble-server")
	r.doors = []door{{25738, "tls"}}
	r.conf = filepath.Join(r.home, "murmur.ini")
	data := mkdir(t, filepath.Join(r.home, "data"), "mumble-server", 0o750)
	write(t, r.conf, fmt.Sprintf(`database=%s/murmur.sqlite
host=%s
port=25738
sslCert=%s
sslKey=%s
logfile=
pidfile=%s/pid
bonjour=false
autobanAttempts=0
`, data, r.address, path(r.d.Chain, plain), path(r.d.Key, plain), data))
	r.begin()
	p := start(t, r.home, "mumble-server", []string{murmurd, "-fg", "-ini", r.conf})
	// systemctl kill -s USR1 mumble-server; its script has no reload
	r.d.Reload = []string{"sh", "-c", kill("USR1", p)}
	r.started(p)

	r.tell(troubles{otherKey: "serves certificate", unreadable: "serves certificate", weak: "TLS handshake"})
}
