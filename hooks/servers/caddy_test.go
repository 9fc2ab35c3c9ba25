package servers

import (
	"fmt"
	"path/filepath"
	"testing"
)

func TestCaddy(t *testing.T) {
	t.Parallel()
	r := newRig(t, "caddy")
	caddy := program(t, "caddy", "caddy")
	r.doors = []door{{25443, "https"}}
	r.conf = filepath.Join(r.home, "Caddyfile")
	site := func(name string) string {
		return fmt.Sprintf(`https://%s:25443 {
	bind %s
	tls %s %s
	respond 204
}
`, name, r.address, path(r.d.Chain, name), path(r.d.Key, name))
	}
	write(t, r.conf, fmt.Sprintf(`{
	admin %s:25019
	auto_https disable_redirects
}
`, r.address)+site(plain)+site(host))
	data := mkdir(t, filepath.Join(r.home, "data"), "caddy", 0o750)
	r.begin()
	p := start(t, r.home, "caddy", []string{caddy, "run", "--config", r.conf}, "HOME="+data)
	// systemctl reload: ExecReload=/usr/bin/caddy reload --config /etc/caddy/Caddyfile --force
	r.d.Reload = []string{"caddy", "reload", "--config", r.conf, "--force"}
	r.started(p)

	r.tell(troubles{otherKey: "private key does not match", unreadable: "permission denied", configuration: "{{{"})
}
