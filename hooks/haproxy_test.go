package hooks

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"keypaird/hooks/probe"
	"keypaird/renew/keypair"
)

// A haproxy is a running one with the deployment for it.
type haproxy struct {
	certs   string
	at      probe.Endpoint
	reloads string
	d       Deployment
}

// startHaproxy starts the real one, in master-worker mode as packages do, on a
// port of its own, with these pairs in its directory.
func startHaproxy(t *testing.T, level string, pairs map[string]*keypair.Pair) *haproxy {
	t.Helper()
	program := server(t, "haproxy")
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
	conf, socket := filepath.Join(home, "haproxy.cfg"), filepath.Join(home, "sock")
	write(t, conf, fmt.Sprintf(`global
	stats socket %s mode 600 level %s
defaults
	mode http
	timeout client 5s
	timeout server 5s
	timeout connect 5s
frontend f
	bind %s ssl crt %s/
	http-request return status 204
`, socket, level, h.at.Addr(), h.certs))
	p := daemon(t, program, "-W", "-db", "-f", conf)
	eventually(t, "haproxy serves", func() bool { return serves(t, h.at, first) == nil })
	h.d, _ = preset("haproxy", "linux")
	h.d.Combined = filepath.Join(h.certs, "{name}.pem")
	h.d.Owner, h.d.Group = "", ""
	h.d.Check = []string{"haproxy", "-c", "-f", conf}
	h.d.Reload = []string{script(t, "echo x >>"+h.reloads+"; kill -USR2 "+strconv.Itoa(p.Process.Pid))}
	h.d.Verify = []probe.Endpoint{h.at}
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
	if err := h.d.Deploy(t.Context(), []Change{{Name: plain, New: p, Previous: old}, {Name: host, New: q}}); err != nil {
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
	failure(t, h.d.Deploy(t.Context(), []Change{{Name: plain, New: good(t, plain), Previous: old}}), StepCheck).stands(t, true, false, plain)
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
	if err := h.d.Deploy(t.Context(), []Change{{Name: plain, New: p, Previous: old}, {Name: host, New: q, Previous: oldHost}}); err != nil {
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

	t.Run("a name that is new to it", func(t *testing.T) {
		n := good(t, "new.example.org")
		if err := h.d.Deploy(t.Context(), []Change{{Name: "new.example.org", New: n}}); err != nil {
			t.Fatal(err)
		}
		if n := h.reloaded(t); n != 1 {
			t.Errorf("%d reloads, want 1", n)
		}
		if err := serves(t, h.at, n); err != nil {
			t.Error(err)
		}
	})
	t.Run("a name that is new to it, and no reload", func(t *testing.T) {
		d := h.d
		d.Reload = nil
		err := d.Deploy(t.Context(), []Change{{Name: "other.example.org", New: good(t, "other.example.org")}})
		e := failure(t, err, StepReload)
		e.stands(t, false, false, "other.example.org")
		if !strings.Contains(e.Error(), "not referenced") || !strings.Contains(e.Remedy(), "reload haproxy once") {
			t.Errorf("error = %q, remedy %q", e, e.Remedy())
		}
	})
	t.Run("somebody's unfinished transaction", func(t *testing.T) {
		set := "set ssl cert " + filepath.Join(h.certs, host+".pem")
		answer, err := h.d.ask(t.Context(), set+" <<\n"+strings.TrimSpace(string(q.Combined()))+"\n\n")
		if err != nil || !strings.Contains(answer, "ransaction created") {
			t.Fatal(answer, err)
		}
		d := h.d
		d.Reload = nil
		e := failure(t, d.Deploy(t.Context(), []Change{{Name: plain, New: good(t, plain)}}), StepReload)
		if !strings.Contains(e.Remedy(), "abort ssl cert") {
			t.Errorf("error = %q, remedy %q", e, e.Remedy())
		}
		if err := d.Deploy(t.Context(), []Change{{Name: host, New: q}}); err != nil { // the same as ours, killed half way
			t.Error(err)
		}
	})
	t.Run("rolled back over the socket", func(t *testing.T) {
		d := h.d
		d.Reload, d.Timeout = nil, 2*time.Second
		d.Verify = append(d.Verify, freePort(t))
		before := h.reloaded(t)
		e := failure(t, d.Deploy(t.Context(), []Change{{Name: host, New: good(t, host), Previous: q}}), StepVerify)
		if !e.RolledBack || e.RollbackErr == nil { // the second endpoint does not serve the previous one either
			t.Errorf("RolledBack %v, RollbackErr %v", e.RolledBack, e.RollbackErr)
		}
		if err := serves(t, h.at, q); err != nil {
			t.Error(err)
		}
		if h.reloaded(t) != before {
			t.Error("reloaded")
		}
	})
}

func TestHaproxySocketOfLowLevel(t *testing.T) {
	t.Parallel()
	old, p := good(t, plain), good(t, plain)
	h := startHaproxy(t, "operator", map[string]*keypair.Pair{plain: old})
	d := h.d
	d.Reload = nil
	e := failure(t, d.Deploy(t.Context(), []Change{{Name: plain, New: p, Previous: old}}), StepReload)
	if !strings.Contains(e.Remedy(), "level admin") {
		t.Errorf("error = %q, remedy %q", e, e.Remedy())
	}
	if err := h.d.Deploy(t.Context(), []Change{{Name: plain, New: p}}); err != nil {
		t.Fatal(err) // the reload does it
	}
}

// What a socket may answer that is not what haproxy answers.
func TestHaproxySocketMisbehaves(t *testing.T) {
	p := good(t, plain)
	created := "Transaction created for certificate x!\n\n"
	for _, tt := range []struct {
		name    string
		answers map[string]string // by the first word of the command
		want    string
	}{
		{"refuses the commit", map[string]string{"set": created, "commit": "Inconsistencies between private key and certificate\n", "abort": "ok"}, "Inconsistencies"},
		{"refuses to set", map[string]string{"set": "Can't allocate memory\x1b[2J\n"}, "Can't allocate memory"},
		{"says nothing to the commit", map[string]string{"set": created, "abort": "ok"}, "does not answer"},
		{"goes on for ever", map[string]string{"set": "..."}, "answers without end"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := safeDir(t)
			ln, err := net.Listen("unix", filepath.Join(dir, "s"))
			if err != nil {
				t.Fatal(err)
			}
			var said []string
			done := make(chan struct{})
			go func() {
				defer close(done)
				for {
					conn, err := ln.Accept()
					if err != nil {
						return
					}
					said = append(said, answer(conn, tt.answers))
					conn.Close()
				}
			}()
			d := Deployment{Name: "haproxy", Combined: dir + "/{name}.pem", Socket: dir + "/s", Timeout: 300 * time.Millisecond}
			e := failure(t, d.Deploy(t.Context(), []Change{{Name: plain, New: p}}), StepReload)
			ln.Close()
			<-done
			if !strings.Contains(e.Error(), tt.want) || strings.ContainsAny(e.Error(), "\x1b\n") {
				t.Errorf("error = %q, want %q", e, tt.want)
			}
			if len(said) > 1 && said[len(said)-1] != "abort ssl cert "+dir+"/"+plain+".pem\n" {
				t.Errorf("the last command was %q, want abort", said[len(said)-1])
			}
			if payload := strings.TrimSuffix(said[0], "\n\n"); strings.Contains(payload, "\n\n") || !strings.HasSuffix(said[0], "-----END CERTIFICATE-----\n\n") {
				t.Errorf("payload with empty lines, or not ended by one: %q", said[0])
			}
		})
	}
}

// answer reads one command and answers it, or waits for the other side to
// give up.
func answer(conn net.Conn, answers map[string]string) string {
	buf := make([]byte, 1<<20)
	n := 0
	for {
		m, err := conn.Read(buf[n:])
		n += m
		got := string(buf[:n])
		if err != nil || !strings.Contains(got, "<<") && strings.HasSuffix(got, "\n") || strings.HasSuffix(got, "\n\n") {
			break
		}
	}
	word, _, _ := strings.Cut(string(buf[:n]), " ")
	switch a := answers[word]; a {
	case "":
		io.Copy(io.Discard, conn)
	case "...":
		for {
			if _, err := io.WriteString(conn, strings.Repeat(a, 1000)); err != nil {
				break
			}
		}
	default:
		io.WriteString(conn, a)
	}
	return string(buf[:n])
}

func TestSocketsThatAreNotUsed(t *testing.T) {
	open := safeDir(t)
	ln, err := net.Listen("unix", filepath.Join(open, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	write(t, filepath.Join(open, "file"), "")
	os.Chmod(open, 0o777)
	for _, tt := range []struct{ name, path, want string }{
		{"no such socket", filepath.Join(open, "none"), "no such file"},
		{"a file", filepath.Join(open, "file"), "is not a socket"},
		{"where everybody can put one", filepath.Join(open, "s"), "everybody can write"},
	} {
		if err := safeSocket(tt.path); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	d := Deployment{Socket: filepath.Join(open, "s")}
	err = d.update(t.Context(), "/etc/a b.pem", nil)
	if _, ok := errors.AsType[*settingError](err); !ok {
		t.Errorf("a path with a space: %v", err)
	}
}
