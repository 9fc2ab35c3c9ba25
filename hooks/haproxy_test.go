package hooks

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"keypaird/hooks/probe"
	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/testutil"
)

// A haproxy is a running one with the deployment for it.
type haproxy struct {
	certs   string
	at      probe.Endpoint
	reloads string
	d       Deployment
}

// startHaproxy starts the real one, in master-worker mode as packages do, on a
// port of its own, with these pairs in its directory and more lines in its global section.
func startHaproxy(t *testing.T, level string, pairs map[string]*keypair.Pair, global ...string) *haproxy {
	t.Helper()
	program := testutil.Program(t, "haproxy")
	home := safeDir(t)
	h := &haproxy{certs: filepath.Join(home, "certs"), at: freePort(t), reloads: filepath.Join(home, "reloads")}
	if err := os.Mkdir(h.certs, 0o700); err != nil {
		t.Fatal(err)
	}
	var first *keypair.Pair
	for name, p := range pairs {
		write(t, filepath.Join(h.certs, name+".pem"), string(p.Combined()))
		first = p
	}
	conf, socket := filepath.Join(home, "haproxy.cfg"), filepath.Join(safeDir(t), "sock")
	write(t, conf, fmt.Sprintf(`global
	stats socket %s mode 600 level %s
	%s
defaults
	mode http
	timeout client 5s
	timeout server 5s
	timeout connect 5s
frontend f
	bind %s ssl crt %s/
	http-request return status 204
`, socket, level, strings.Join(global, "\n\t"), h.at.Addr(), h.certs))
	p := daemon(t, program, "-W", "-db", "-S", filepath.Join(home, "master"), "-f", conf)
	eventually(t, "haproxy serves", func() bool { return serves(t, h.at, first) == nil })
	h.d = Deployment{Name: "haproxy", KeyMode: 0o600, Scans: 1, Reloads: 2} // as the preset
	h.d.Combined = filepath.Join(h.certs, "{name}.pem")
	h.d.Check = []string{"haproxy", "-c", "-f", conf}
	h.d.Reload = []string{script(t, "echo x >>"+h.reloads+"; kill -USR2 "+strconv.Itoa(p.Process.Pid))}
	h.d.Verify = endpoints(h.at)
	h.d.Socket = socket
	return h
}

// reloaded tells how often.
func (h *haproxy) reloaded(t *testing.T) int {
	return strings.Count(text(t, h.reloads), "x")
}

func TestHaproxyReload(t *testing.T) {
	t.Parallel()
	old, p, q := good(t, plain), good(t, plain), good(t, host)
	h := startHaproxy(t, "admin", map[string]*keypair.Pair{plain: old})
	h.d.Socket = ""
	if err := h.d.deploy(t.Context(), []renew.Change{{Name: plain, New: p, Previous: old}, {Name: host, New: q}}); err != nil {
		t.Fatal(err)
	}
	if n := h.reloaded(t); n != 1 {
		t.Errorf("%d reloads, want 1", n)
	}
	for _, p := range []*keypair.Pair{p, q} {
		if err := serves(t, h.at, p); err != nil {
			t.Error(err)
		}
	}
	if fi, err := os.Stat(filepath.Join(h.certs, plain+".pem")); err != nil || fi.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600", fi.Mode())
	}
}

// A check that fails leaves the running haproxy alone, and a file that was not
// there and is minded goes again.
func TestHaproxyMinds(t *testing.T) {
	t.Parallel()
	old := good(t, plain)
	h := startHaproxy(t, "admin", map[string]*keypair.Pair{plain: old})
	write(t, filepath.Join(h.certs, "stray.pem"), "no certificate")
	failure(t, h.d.deploy(t.Context(), []renew.Change{{Name: plain, New: good(t, plain), Previous: old}}), StepCheck).stands(t, true, false, plain)
	if got := text(t, filepath.Join(h.certs, plain+".pem")); got != string(old.Combined()) {
		t.Error("the previous pair is not back")
	}
	if h.reloaded(t) != 0 {
		t.Error("reloaded")
	}
}

func TestHaproxySocket(t *testing.T) {
	t.Parallel()
	old, oldHost, p, q := good(t, plain), good(t, host), good(t, plain), good(t, host)
	h := startHaproxy(t, "admin", map[string]*keypair.Pair{plain: old, host: oldHost})
	if err := h.d.deploy(t.Context(), []renew.Change{{Name: plain, New: p, Previous: old}, {Name: host, New: q, Previous: oldHost}}); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*keypair.Pair{p, q} {
		if err := serves(t, h.at, p); err != nil {
			t.Error(err)
		}
	}
	if n := h.reloaded(t); n != 0 {
		t.Errorf("%d reloads, want none", n)
	}
	if got := text(t, filepath.Join(h.certs, plain+".pem")); got != string(p.Combined()) {
		t.Error("not on disk: the next restart would bring the old one back")
	}
}

// Debian's package gives the directory of the socket to haproxy's user and group, whose
// members can replace the socket. haproxy itself listens as root.
func TestHaproxyOfDebian(t *testing.T) {
	t.Parallel()
	uid, err := LookupUser("haproxy")
	if err != nil || os.Geteuid() != 0 {
		testutil.Missing(t, "root's rights and a user haproxy")
	}
	gid, err := LookupGroup("haproxy")
	testutil.Must(t, err)
	old, p := good(t, plain), good(t, plain)
	h := startHaproxy(t, "admin user haproxy group haproxy", map[string]*keypair.Pair{plain: old}, "user haproxy", "group haproxy")
	dir := filepath.Dir(h.d.Socket)
	testutil.Must(t, os.Chown(dir, uid, gid))
	testutil.Must(t, os.Chmod(dir, 0o2775))
	if err := h.d.CheckSocket(t.Context(), plain); err != nil {
		t.Error(err)
	}
	if err := h.d.deploy(t.Context(), []renew.Change{{Name: plain, New: p, Previous: old}}); err != nil {
		t.Fatal(err)
	}
	if err := serves(t, h.at, p); err != nil || h.reloaded(t) != 0 {
		t.Errorf("%v, %d reloads, want none", err, h.reloaded(t))
	}
}

// A running haproxy can replace what it has, but not learn a file by that way.
func TestHaproxySocketAndNewNames(t *testing.T) {
	t.Parallel()
	h := startHaproxy(t, "admin", map[string]*keypair.Pair{plain: good(t, plain)})
	t.Run("a reload does it", func(t *testing.T) {
		n := good(t, "new.example.org")
		if err := h.d.deploy(t.Context(), []renew.Change{{Name: "new.example.org", New: n}}); err != nil {
			t.Fatal(err)
		}
		if n := h.reloaded(t); n != 1 {
			t.Errorf("%d reloads, want 1", n)
		}
		if err := serves(t, h.at, n); err != nil {
			t.Error(err)
		}
	})
	t.Run("no reload is configured", func(t *testing.T) {
		d := h.d
		d.Reload = nil
		err := d.deploy(t.Context(), []renew.Change{{Name: "other.example.org", New: good(t, "other.example.org")}})
		e := failure(t, err, StepReload)
		e.stands(t, false, false, "other.example.org")
		if !strings.Contains(e.Error(), "not referenced") || !strings.Contains(e.Remedy(), "reload haproxy once") {
			t.Errorf("error = %q, remedy %q", e, e.Remedy())
		}
	})
}

func TestHaproxySocketIsInUse(t *testing.T) {
	t.Parallel()
	q := good(t, host)
	h := startHaproxy(t, "admin", map[string]*keypair.Pair{plain: good(t, plain), host: good(t, host)})
	set := "set ssl cert " + filepath.Join(h.certs, host+".pem")
	answer, err := h.d.ask(t.Context(), set+" <<\n"+strings.TrimSpace(string(q.Combined()))+"\n\n")
	if err != nil || !strings.Contains(answer, "ransaction created") {
		t.Fatal(answer, err)
	}
	d := h.d
	d.Reload = nil
	e := failure(t, d.deploy(t.Context(), []renew.Change{{Name: plain, New: good(t, plain)}}), StepReload)
	if !strings.Contains(e.Remedy(), "abort ssl cert") {
		t.Errorf("error = %q, remedy %q", e, e.Remedy())
	}
	if err := d.deploy(t.Context(), []renew.Change{{Name: host, New: q}}); err != nil { // the same as ours, killed half way
		t.Error(err)
	}
}

func TestHaproxySocketRollsBack(t *testing.T) {
	t.Parallel()
	q := good(t, host)
	h := startHaproxy(t, "admin", map[string]*keypair.Pair{host: q})
	d := h.d
	d.Reload, d.Timeout = nil, 2*time.Second
	d.Verify = append(d.Verify, startFrail(t, q).d.Verify...) // goes on with the previous one
	before := h.reloaded(t)
	failure(t, d.deploy(t.Context(), []renew.Change{{Name: host, New: good(t, host), Previous: q}}), StepVerify).stands(t, true, false, host)
	if err := serves(t, h.at, q); err != nil {
		t.Error(err)
	}
	if h.reloaded(t) != before {
		t.Error("reloaded")
	}
}

func TestHaproxySocketOfLowLevel(t *testing.T) {
	t.Parallel()
	old, p := good(t, plain), good(t, plain)
	h := startHaproxy(t, "operator", map[string]*keypair.Pair{plain: old})
	d := h.d
	d.Reload = nil
	e := failure(t, d.deploy(t.Context(), []renew.Change{{Name: plain, New: p, Previous: old}}), StepReload)
	if !strings.Contains(e.Remedy(), "level admin") {
		t.Errorf("error = %q, remedy %q", e, e.Remedy())
	}
	if err := h.d.deploy(t.Context(), []renew.Change{{Name: plain, New: p}}); err != nil {
		t.Fatal(err) // the reload does it
	}
}

// The master CLI is told from a worker's socket, and nothing is waited for.
func TestHaproxyMasterCLI(t *testing.T) {
	t.Parallel()
	old := good(t, plain)
	h := startHaproxy(t, "admin", map[string]*keypair.Pair{plain: old})
	d := h.d
	d.Socket, d.Reload, d.Timeout = filepath.Join(filepath.Dir(h.certs), "master"), nil, time.Hour
	began := time.Now()
	e := failure(t, d.deploy(t.Context(), []renew.Change{{Name: plain, New: good(t, plain), Previous: old}}), StepReload)
	if took := time.Since(began); took > time.Minute {
		t.Errorf("took %s", took)
	}
	if !strings.Contains(e.Error(), "is haproxy's master CLI") || !strings.Contains(e.Remedy(), "name the worker's stats socket in [deploy.haproxy]") {
		t.Errorf("error = %q, remedy %q", e, e.Remedy())
	}
}
