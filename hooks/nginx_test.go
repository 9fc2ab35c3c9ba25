package hooks

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keypaird/hooks/probe"
	"keypaird/renew/keypair"
)

// A library of versions as the store has them, with one name.
func storeVersion(t *testing.T, dir, id string, p *keypair.Pair) string {
	t.Helper()
	v := filepath.Join(dir, id)
	if err := os.Mkdir(v, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(v, "fullchain.pem"), string(p.FullChain()))
	write(t, filepath.Join(v, "privkey.pem"), string(p.Key()))
	return v
}

func switchLive(dir, id string) error {
	tmp := filepath.Join(dir, ".live.tmp")
	if err := os.Symlink(id, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, "live"))
}

// startNginx starts the real one on a port of its own, with the pair behind
// dir/live, and returns the deployment for it.
func startNginx(t *testing.T, dir string) Deployment {
	t.Helper()
	program := server(t, "nginx")
	home, at := safeDir(t), freePort(t)
	conf := filepath.Join(home, "nginx.conf")
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;\n"
	}
	write(t, conf, user+fmt.Sprintf(`daemon off;
pid %[1]s/pid;
error_log %[1]s/error.log;
worker_processes 2;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c;
	uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
	server {
		listen %[2]s ssl;
		ssl_certificate %[3]s/live/fullchain.pem;
		ssl_certificate_key %[3]s/live/privkey.pem;
		return 204;
	}
}
`, home, at.Addr(), dir))
	daemon(t, program, "-c", conf, "-e", home+"/error.log")
	d, _ := preset("nginx", "linux")
	d.Check = append(d.Check, "-c", conf, "-e", home+"/error.log")
	d.Reload = append(d.Reload, "-c", conf, "-e", home+"/error.log")
	d.Verify = []probe.Endpoint{at, {Proto: "https", Host: at.Host, Port: at.Port}}
	return d
}

func TestNginx(t *testing.T) {
	t.Parallel()
	dir := safeDir(t)
	pairs := []*keypair.Pair{good(t, plain, host), good(t, plain, host), good(t, plain, host)}
	for i, p := range pairs {
		storeVersion(t, dir, fmt.Sprint("v", i), p)
	}
	use := func(i int) {
		t.Helper()
		if err := switchLive(dir, fmt.Sprint("v", i)); err != nil {
			t.Fatal(err)
		}
	}
	use(0)
	d := startNginx(t, dir)
	at := d.Verify[0]
	eventually(t, "nginx serves", func() bool { return serves(t, at, pairs[0]) == nil })

	use(1)
	change := func(i int) []Change {
		return []Change{{Name: plain, New: pairs[i], Previous: pairs[i-1], Restore: func() error { return switchLive(dir, fmt.Sprint("v", i-1)) }}}
	}
	if err := d.Deploy(t.Context(), change(1)); err != nil {
		t.Fatal(err)
	}
	// Its old workers go on for 100 ms beside the new ones.
	settled := func() bool {
		for range 20 {
			if serves(t, at, pairs[1]) != nil {
				return false
			}
		}
		return true
	}
	eventually(t, "all workers serve the new pair", settled)

	t.Run("its check refuses a pair that does not match", func(t *testing.T) {
		use(2)
		write(t, filepath.Join(dir, "v2", "privkey.pem"), string(pairs[0].Key()))
		err := d.Deploy(t.Context(), change(2))
		failure(t, err, StepCheck).stands(t, true, false, plain)
		if link, _ := os.Readlink(filepath.Join(dir, "live")); link != "v1" {
			t.Errorf("live -> %s, want v1", link)
		}
		if err := serves(t, at, pairs[1]); err != nil {
			t.Error(err)
		}
	})

	t.Run("its reload says yes and does not happen", func(t *testing.T) {
		busy, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer busy.Close()
		conf := d.Check[3] // -t passes: it does not try to listen
		write(t, conf, strings.Replace(text(t, conf), "return 204", "listen "+busy.Addr().String()+"; return 204", 1))
		write(t, filepath.Join(dir, "v2", "privkey.pem"), string(pairs[2].Key()))
		d := d
		d.Timeout = 500 * time.Millisecond
		use(2)
		err = d.Deploy(t.Context(), change(2))
		e := failure(t, err, StepVerify)
		e.stands(t, true, false, plain)
		if !strings.Contains(err.Error(), at.String()+" serves certificate "+pairs[1].Fingerprint()[:16]) {
			t.Errorf("error = %q", err)
		}
	})

	t.Run("nothing to go back to", func(t *testing.T) {
		d := d
		d.Reload, d.Timeout = []string{script(t, "exit 1")}, 2*time.Second
		use(0)
		c := []Change{{Name: plain, New: pairs[0]}}
		failure(t, d.Deploy(t.Context(), c), StepReload).stands(t, false, false, plain)
		if link, _ := os.Readlink(filepath.Join(dir, "live")); link != "v0" {
			t.Errorf("live -> %s, want v0", link)
		}
	})
}
