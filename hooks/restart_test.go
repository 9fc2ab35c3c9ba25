package hooks

import (
	"crypto/tls"
	"errors"
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
)

// A frail is a server that may not survive a reload. It serves the files it
// was last told of, unless there is a file "dead".
type frail struct {
	dir string
	d   Deployment
	ran string // a file that its commands note themselves in
}

// startFrail starts one that serves p.
func startFrail(t *testing.T, p *keypair.Pair) *frail {
	t.Helper()
	dir := safeDir(t)
	f := &frail{dir: dir, ran: filepath.Join(dir, "ran")}
	write(t, f.in("crt"), string(p.FullChain()))
	write(t, f.in("key"), string(p.Key()))
	write(t, f.in("loaded.crt"), string(p.FullChain()))
	write(t, f.in("loaded.key"), string(p.Key()))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conf := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		if _, err := os.Stat(f.in("dead")); err == nil {
			return nil, errors.New("dead")
		}
		cert, err := tls.LoadX509KeyPair(f.in("loaded.crt"), f.in("loaded.key"))
		return &cert, err
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			tls.Server(conn, conf).Handshake()
			conn.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	at, err := probe.ParseEndpoint(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	f.d = Deployment{
		Name: "frail", Chain: f.in("crt"), Key: f.in("key"), Timeout: 2 * time.Second, Verify: endpoints(at),
		Reload:  f.command(t, "reload", "[ ! -e $DIR/dead ] || exit 1; cp $DIR/crt $DIR/loaded.crt; cp $DIR/key $DIR/loaded.key"),
		Restart: f.command(t, "restart", "rm -f $DIR/dead; cp $DIR/crt $DIR/loaded.crt; cp $DIR/key $DIR/loaded.key"),
	}
	return f
}

func (f *frail) in(name string) string { return filepath.Join(f.dir, name) }

// command is one that notes itself and does something in $DIR.
func (f *frail) command(t *testing.T, name, body string) []string {
	t.Helper()
	return []string{script(t, fmt.Sprintf("DIR=%s\necho %s >>%s\n%s", f.dir, name, f.ran, body))}
}

func TestRestart(t *testing.T) {
	dies := `[ ! -e $DIR/dead ] || exit 1; if [ $KEYPAIRD_EVENT = deploy ]; then touch $DIR/dead; fi`
	for _, tt := range []struct {
		name string
		set  func(t *testing.T, f *frail)
		ran  string
		want string // the end of the error
	}{
		{"does not survive", func(t *testing.T, f *frail) {
			f.d.Reload = f.command(t, "reload", dies)
		}, "reload reload restart", "; the previous pair is back in place, and the server was restarted for it"},
		{"does not survive, and cannot be restarted", func(t *testing.T, f *frail) {
			f.d.Reload = f.command(t, "reload", dies)
			f.d.Restart = f.command(t, "restart", "echo no such service; exit 1")
		}, "reload reload restart", `restarting failed too: hook "` + "HOOK" + `": exit status 1: no such service`},
		{"does not survive, nor a restart", func(t *testing.T, f *frail) {
			f.d.Reload = f.command(t, "reload", dies)
			f.d.Restart = f.command(t, "restart", "")
		}, "reload reload restart", `remote error: tls: internal error`},
		{"did not run before", func(t *testing.T, f *frail) {
			write(t, f.in("dead"), "")
		}, "reload", "exit status 1"},
		{"nobody can see whether it runs", func(t *testing.T, f *frail) {
			f.d.Reload = f.command(t, "reload", "exit 1")
			f.d.Verify = nil
		}, "reload reload", "but reloading it failed too: hook \"HOOK\": exit status 1"},
		{"refuses to be reloaded, and goes on", func(t *testing.T, f *frail) {
			f.d.Reload = f.command(t, "reload", "echo bad configuration; exit 1")
		}, "reload reload", "exit status 1: bad configuration; the previous pair is back in place"},
		{"is not to be restarted", func(t *testing.T, f *frail) {
			f.d.Reload = f.command(t, "reload", dies)
			f.d.Restart = nil
		}, "reload reload", "exit status 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			old := good(t, plain)
			f := startFrail(t, old)
			tt.set(t, f)
			err := f.d.deploy(t.Context(), []renew.Change{{Name: plain, New: good(t, plain), Previous: old}})
			e, ok := errors.AsType[*Failure](err)
			if !ok {
				t.Fatalf("Deploy = %v, want a *Failure", err)
			}
			if e.RolledBack != (tt.ran != "reload") || e.Restarted != (e.RollbackErr == nil && strings.HasSuffix(tt.ran, "restart")) {
				t.Fatalf("Deploy = %v (%+v)", err, e)
			}
			want := strings.ReplaceAll(tt.want, "HOOK", f.d.Reload[0])
			if len(f.d.Restart) > 0 && strings.Contains(want, "restarting") {
				want = strings.ReplaceAll(tt.want, "HOOK", f.d.Restart[0])
			}
			if !strings.HasSuffix(err.Error(), want) {
				t.Errorf("error = %q\nwant ... %q", err, want)
			}
			if got := strings.Join(strings.Fields(text(t, f.ran)), " "); got != tt.ran {
				t.Errorf("ran %q, want %q", got, tt.ran)
			}
			if back := text(t, f.in("crt")) == string(old.FullChain()); back != e.RolledBack {
				t.Errorf("the previous pair is back: %t", back)
			}
		})
	}
}

// A server that may need more than one reload gets it, and no more.
func TestReloads(t *testing.T) {
	second := "[ $(wc -l <$DIR/ran) -lt 2 ] || { cp $DIR/crt $DIR/loaded.crt; cp $DIR/key $DIR/loaded.key; }"
	for _, tt := range []struct {
		name, body string
		reloads    int
		ran        string
		fails      bool
	}{
		{"enough at once", "cp $DIR/crt $DIR/loaded.crt; cp $DIR/key $DIR/loaded.key", 2, "reload", false},
		{"the second is enough", second, 2, "reload reload", false},
		{"one is all it gets", second, 0, "reload reload", true}, // the other to go back
		{"neither is enough", "true", 2, "reload reload reload", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			old, p := good(t, plain), good(t, plain)
			f := startFrail(t, old)
			f.d.Reload, f.d.Reloads = f.command(t, "reload", tt.body), tt.reloads
			err := f.d.deploy(t.Context(), []renew.Change{{Name: plain, New: p, Previous: old}})
			if (err != nil) != tt.fails {
				t.Errorf("Deploy = %v", err)
			}
			if got := strings.Join(strings.Fields(text(t, f.ran)), " "); got != tt.ran {
				t.Errorf("ran %q, want %q", got, tt.ran)
			}
			want := p
			if tt.fails {
				want = old
			}
			if err := serves(t, f.d.Verify[0].Endpoint, want); err != nil {
				t.Error(err)
			}
		})
	}
}
