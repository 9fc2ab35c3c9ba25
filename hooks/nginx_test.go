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
	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pairtest"
	"keypaird/renew/testutil"
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

// An nginx is a running one with the deployment for it.
type nginx struct {
	t     *testing.T
	dir   string // with versions v0 to v2 and live, which is v0 to begin with
	pairs []*keypair.Pair
	conf  string
	at    probe.Endpoint
	d     Deployment
}

// startNginx starts the real one on a port of its own, with the pair behind
// dir/live.
func startNginx(t *testing.T) *nginx {
	t.Helper()
	program := testutil.Program(t, "nginx")
	n := &nginx{t: t, dir: safeDir(t)}
	for i := range 3 {
		n.pairs = append(n.pairs, good(t, plain, host))
		storeVersion(t, n.dir, fmt.Sprint("v", i), n.pairs[i])
	}
	n.use(0)
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
`, home, at.Addr(), n.dir))
	daemon(t, program, "-c", conf, "-e", home+"/error.log")
	n.conf, n.at = conf, at
	n.d.Name = "nginx"
	n.d.Check = []string{"nginx", "-t", "-c", conf, "-e", home + "/error.log"}
	n.d.Reload = []string{"nginx", "-s", "reload", "-c", conf, "-e", home + "/error.log"}
	n.d.Verify = endpoints(at, probe.Endpoint{Proto: "https", Host: at.Host, Port: at.Port})
	eventually(t, "nginx serves", func() bool { return serves(t, at, n.pairs[0]) == nil })
	return n
}

// use makes a version live.
func (n *nginx) use(i int) {
	n.t.Helper()
	if err := switchLive(n.dir, fmt.Sprint("v", i)); err != nil {
		n.t.Fatal(err)
	}
}

// live fails unless a version is live and served. After a reload, old workers
// go on for 100 ms beside the new ones.
func (n *nginx) live(i int) {
	n.t.Helper()
	if link, err := os.Readlink(filepath.Join(n.dir, "live")); link != fmt.Sprint("v", i) {
		n.t.Errorf("live -> %s, %v, want v%d", link, err, i)
	}
	eventually(n.t, "all workers serve the same pair", func() bool {
		for range 20 {
			if serves(n.t, n.at, n.pairs[i]) != nil {
				return false
			}
		}
		return true
	})
}

// change is from version 0 to version i.
func (n *nginx) change(i int) []renew.Change {
	return []renew.Change{{Name: plain, New: n.pairs[i], Previous: n.pairs[0], Restore: func() error { return switchLive(n.dir, "v0") }}}
}

func TestNginx(t *testing.T) {
	t.Parallel()
	n := startNginx(t)
	n.use(1)
	if err := n.d.deploy(t.Context(), n.change(1)); err != nil {
		t.Fatal(err)
	}
	n.live(1)
}

func TestNginxMindsAPairThatDoesNotMatch(t *testing.T) {
	t.Parallel()
	n := startNginx(t)
	n.use(1)
	write(t, filepath.Join(n.dir, "v1", "privkey.pem"), string(n.pairs[2].Key()))
	err := n.d.deploy(t.Context(), n.change(1))
	failure(t, err, StepCheck).stands(t, true, false, plain)
	n.live(0)
}

// nginx -s reload says 0 and knows nothing of what becomes of it.
func TestNginxReloadDoesNotHappen(t *testing.T) {
	t.Parallel()
	n := startNginx(t)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	// The check passes: it does not try to listen.
	write(t, n.conf, strings.Replace(text(t, n.conf), "return 204", "listen "+busy.Addr().String()+"; return 204", 1))
	n.d.Timeout = 2 * time.Second
	n.use(1)
	err = n.d.deploy(t.Context(), n.change(1))
	failure(t, err, StepVerify).stands(t, true, false, plain)
	if !strings.Contains(err.Error(), n.at.String()+" serves certificate "+n.pairs[0].Fingerprint()[:16]) {
		t.Errorf("error = %q", err)
	}
	n.live(0)
}

func TestNginxHasNothingToGoBackTo(t *testing.T) {
	t.Parallel()
	n := startNginx(t)
	n.d.Reload = []string{script(t, "exit 1")}
	n.use(1)
	c := []renew.Change{{Name: plain, New: n.pairs[1]}}
	failure(t, n.d.deploy(t.Context(), c), StepReload).stands(t, false, false, plain)
	if link, err := os.Readlink(filepath.Join(n.dir, "live")); link != "v1" {
		t.Errorf("live -> %s, %v, want v1", link, err)
	}
}

// Two certificates of different key types for one name on one port: each is verified
// by itself.
func TestTwoKeyTypes(t *testing.T) {
	program := testutil.Program(t, "nginx")
	dir, home, at := safeDir(t), safeDir(t), freePort(t)
	issue := func(kind string) *keypair.Pair {
		key, err := keypair.NewKey(t.Context(), kind)
		testutil.Must(t, err)
		p, err := pairtest.IssueFor(key, []string{plain}, time.Now().Add(-time.Hour), 90*24*time.Hour)
		testutil.Must(t, err)
		return p
	}
	now := map[string]*keypair.Pair{"ec": issue("ec256"), "rsa": issue("rsa2048")}
	for name, p := range now {
		write(t, filepath.Join(dir, name+".crt"), string(p.FullChain()))
		write(t, filepath.Join(dir, name+".key"), string(p.Key()))
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;\n"
	}
	conf := filepath.Join(home, "nginx.conf")
	write(t, conf, user+fmt.Sprintf(`daemon off;
pid %[1]s/pid;
error_log %[1]s/error.log;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c;
	uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
	server {
		listen %[2]s ssl;
		ssl_certificate %[3]s/rsa.crt;
		ssl_certificate_key %[3]s/rsa.key;
		ssl_certificate %[3]s/ec.crt;
		ssl_certificate_key %[3]s/ec.key;
		return 204;
	}
}
`, home, at.Addr(), dir))
	daemon(t, program, "-c", conf, "-e", home+"/error.log")
	eventually(t, "nginx serves", func() bool { return serves(t, at, now["ec"]) == nil })
	d := Deployment{
		Name: "nginx", Chain: filepath.Join(dir, "{name}.crt"), Key: filepath.Join(dir, "{name}.key"),
		Reload: []string{"nginx", "-s", "reload", "-c", conf, "-e", home + "/error.log"}, Verify: endpoints(at), Timeout: time.Minute,
	}
	for _, batch := range [][]string{{"ec"}, {"rsa"}, {"ec", "rsa"}} {
		var changes []renew.Change
		for _, name := range batch {
			p := issue(map[string]string{"ec": "ec256", "rsa": "rsa2048"}[name])
			changes = append(changes, renew.Change{Name: name, New: p, Previous: now[name]})
			now[name] = p
		}
		if err := d.deploy(t.Context(), changes); err != nil {
			t.Errorf("%v: %v", batch, err)
		}
	}
}
