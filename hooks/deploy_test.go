package hooks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keypaird/hooks/probe"
	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/testutil"
)

const plain, host = "example.org", "matrix.example.org"

// failure returns the one *Failure in err, which has to have this step.
func failure(t *testing.T, err error, step string) *Failure {
	t.Helper()
	list, ok := errors.AsType[failureList](err)
	if !ok || len(list) != 1 {
		t.Fatalf("deploy = %v, want one failure", err)
	}
	f := list[0]
	if f.Step != step {
		t.Fatalf("step = %s (%v), want %s", f.Step, err, step)
	}
	if f.Remedy() == "" || strings.Contains(err.Error(), "\n") {
		t.Errorf("message %q, remedy %q", err, f.Remedy())
	}
	return f
}

// stands fails unless f says that things stand so.
func (f *Failure) stands(t *testing.T, rolledBack, installed bool, failed ...string) {
	t.Helper()
	if f.RolledBack != rolledBack || f.Installed != installed || f.RollbackErr != nil || strings.Join(f.Targets, " ") != strings.Join(failed, " ") {
		t.Errorf("RolledBack %v, RollbackErr %v, Installed %v, Targets %q (%v)\nwant %v, nil, %v, %q",
			f.RolledBack, f.RollbackErr, f.Installed, f.Targets, f, rolledBack, installed, failed)
	}
}

// deploy is Deploy with the failures as one error.
func (d *Deployment) deploy(ctx context.Context, changes []renew.Change) error {
	return joined(d.run(ctx, changes).failures)
}

func TestRenewal(t *testing.T) {
	t.Parallel()
	oldPlain, oldHost := good(t, plain), good(t, host)
	newPlain, newHost := good(t, plain), good(t, host)
	r := startRelayd(t, []string{plain, host}, oldPlain, oldHost)
	changes := []renew.Change{{Name: plain, Names: []string{plain}, New: newPlain, Previous: oldPlain}, {Name: host, New: newHost, Previous: oldHost}}
	if err := r.d.deploy(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
	r.shows(newPlain)
	r.shows(newHost)
	r.holds(plain, newPlain)
	r.holds(host, newHost)
	r.reloaded("deploy") // once for both
	for path, want := range map[string]fs.FileMode{r.crt(plain): 0o644, r.key(plain): 0o600} {
		if fi, err := os.Lstat(path); err != nil || fi.Mode() != want {
			t.Errorf("%s: mode %v, want %v", path, fi.Mode(), want)
		}
	}
}

func TestFirstDeployment(t *testing.T) {
	t.Parallel()
	p, q := good(t, plain, "*.example.org", "192.0.2.1"), good(t, "*.example.net")
	r := startRelayd(t, []string{plain, "_wildcard.example.net"})
	if err := r.d.deploy(t.Context(), []renew.Change{{Name: plain, New: p}, {Name: "*.example.net", New: q}}); err != nil {
		t.Fatal(err)
	}
	r.shows(p)
	r.shows(q)
	r.holds("_wildcard.example.net", q)
}

// Half an hour of debugging that nobody should have: a forgotten NAME:PORT.crt
// is what relayd serves, whatever becomes of NAME.crt.
func TestStalePortCertificate(t *testing.T) {
	t.Parallel()
	old, p := good(t, plain), good(t, plain)
	r := startRelayd(t, []string{plain}, old)
	name := fmt.Sprintf("%s:%d", plain, r.at.Port)
	r.place(name, old)
	r.d.Timeout = 2 * time.Second
	err := r.d.deploy(t.Context(), []renew.Change{{Name: plain, New: p, Previous: old}})
	e := failure(t, err, StepVerify)
	e.stands(t, true, false, plain)
	stale, ok := errors.AsType[*probe.StaleError](err)
	if !ok || stale.Got != old.Fingerprint() || stale.Want != p.Fingerprint() || e.Remedy() != stale.Remedy() {
		t.Errorf("Deploy = %v, want a *probe.StaleError with its remedy", err)
	}
	r.holds(plain, old)
	r.reloaded("deploy", "rollback")
	if w := r.d.Warnings(plain); len(w) != 1 || !strings.Contains(w[0], r.crt(name)+" exists") {
		t.Errorf("Warnings = %q", w)
	}
	if !strings.Contains(r.log.String(), "level=WARN") {
		t.Errorf("nothing in the log:\n%s", r.log)
	}
}

func TestCheckFails(t *testing.T) {
	t.Parallel()
	old, p := good(t, plain), good(t, plain)
	r := startRelayd(t, []string{plain}, old)
	r.d.Check = []string{script(t, "echo line 7: syntax error; exit 1")}
	err := r.d.deploy(t.Context(), []renew.Change{{Name: plain, New: p, Previous: old}})
	failure(t, err, StepCheck).stands(t, true, false, plain)
	if want := `hook "` + r.d.Check[0] + `": exit status 1: line 7: syntax error; the previous pair is back in place`; err.Error() != want {
		t.Errorf("error = %q\nwant %q", err, want)
	}
	r.holds(plain, old)
	r.reloaded() // it would have ended relayd
	r.shows(old)
}

func TestReloadFails(t *testing.T) {
	t.Parallel()
	old, p := good(t, plain), good(t, plain)
	r := startRelayd(t, []string{plain}, old)
	r.reload(`[ "$KEYPAIRD_EVENT" = rollback ] || { echo no such proxy; exit 1; }`)
	changes := []renew.Change{{Name: plain, New: p, Previous: old}}
	err := r.d.deploy(t.Context(), changes)
	failure(t, err, StepReload).stands(t, true, false, plain)
	if !strings.HasPrefix(err.Error(), `hook "`+r.d.Reload[0]+`": exit status 1: no such proxy`) {
		t.Errorf("error = %q", err)
	}
	r.holds(plain, old)
	r.shows(old)
	r.reload("") // fixed
	if err := r.d.deploy(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
	r.shows(p)
}

func TestOnlyVerificationIsMissing(t *testing.T) {
	t.Parallel()
	p := good(t, plain)
	r := startRelayd(t, []string{plain}, p)
	again := []renew.Change{{Name: plain, New: p, Deployed: true}}
	if err := r.d.deploy(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	r.reloaded() // it was served already
	r.place(plain, good(t, plain))
	if err := r.d.deploy(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	r.holds(plain, p)
	r.reloaded("deploy")
	q := good(t, plain)
	r.place(plain, q) // in the files, but not in relayd
	if err := r.d.deploy(t.Context(), []renew.Change{{Name: plain, New: q, Deployed: true}}); err != nil {
		t.Fatal(err)
	}
	r.reloaded("deploy", "deploy")
	r.shows(q)
}

// The proxy takes a while to follow.
func TestSlowReload(t *testing.T) {
	t.Parallel()
	old, p := good(t, plain), good(t, plain)
	r := startRelayd(t, []string{plain}, old)
	slow := r.d.Reload[0]
	r.d.Reload = []string{script(t, "(sleep 0.5; exec "+slow+") >/dev/null 2>&1 &")}
	if err := r.d.deploy(t.Context(), []renew.Change{{Name: plain, New: p, Previous: old}}); err != nil {
		t.Fatal(err)
	}
	r.shows(p)
}

func TestRefusedBeforeAnythingIsWritten(t *testing.T) {
	old, p := good(t, plain), good(t, plain)
	for _, tt := range []struct {
		name   string
		change renew.Change
		spoil  func(*relayd)
		want   string
	}{
		{"no pair", renew.Change{Name: plain}, nil, "no pair to deploy"},
		{"expired pair", renew.Change{Name: plain, New: newPair(t, -48*time.Hour, -time.Hour, plain)}, nil, "certificate expired"},
		{"pair for another name", renew.Change{Name: plain, Names: []string{plain, host}, New: p}, nil, "lacks"},
		{"unknown owner", renew.Change{Name: plain, New: p}, func(r *relayd) { r.d.Owner = "no-such-user" }, `owner "no-such-user": no such user`},
		{"unknown group", renew.Change{Name: plain, New: p}, func(r *relayd) { r.d.Group = "no-such-group" }, `group "no-such-group": no such group`},
		{"name that leaves the directory", renew.Change{Name: "../x", New: p}, nil, "cannot be part of a path"},
		{"relative path", renew.Change{Name: plain, New: p}, func(r *relayd) { r.d.Chain = "{name}.crt" }, "not an absolute path"},
		{"key and chain in one place", renew.Change{Name: plain, New: p}, func(r *relayd) { r.d.Key = r.d.Chain }, "would be written twice, with different content"},
		{"socket without combined", renew.Change{Name: plain, New: p}, func(r *relayd) { r.d.Socket = "/run/x" }, "socket needs combined"},
		{"no directory", renew.Change{Name: plain, New: p}, func(r *relayd) { r.d.Key = "/nonexistent/{name}.key" }, "directory /nonexistent does not exist"},
		{"directory others can write", renew.Change{Name: plain, New: p}, func(r *relayd) { os.Chmod(r.ssl, 0o777) }, "can be written by everyone"},
		{"directory in the way", renew.Change{Name: plain, New: p}, func(r *relayd) { os.Remove(r.crt(plain)); os.Mkdir(r.crt(plain), 0o755) }, "is a directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := startRelayd(t, []string{plain}, old)
			if tt.spoil != nil {
				tt.spoil(r)
			}
			err := r.d.deploy(t.Context(), []renew.Change{tt.change})
			e := failure(t, err, StepInstall)
			if !strings.Contains(err.Error(), tt.want) || e.RolledBack || e.Installed {
				t.Errorf("Deploy = %v, want %q", err, tt.want)
			}
			if text(t, r.key(plain)) != string(old.Key()) {
				t.Error("the key was touched")
			}
			noLeftovers(t, r.ssl, filepath.Join(r.ssl, "private"))
			r.reloaded()
		})
	}
}

func TestNothingToDo(t *testing.T) {
	d := Deployment{Name: "x", Reload: []string{"/nonexistent"}}
	if err := d.deploy(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// silent returns an endpoint that never answers, and writes the file when it is
// asked after r has got p: then the deployment verifies.
func silent(r *relayd, file string, p *keypair.Pair) probe.Endpoint {
	r.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Must(r.t, err)
	r.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if serves(r.t, r.at, p) == nil {
				os.WriteFile(file, nil, 0o600)
				io.Copy(io.Discard, conn)
			}
			conn.Close()
		}
	}()
	e, err := probe.ParseEndpoint(l.Addr().String())
	testutil.Must(r.t, err)
	return e
}

func TestInterrupted(t *testing.T) {
	old, p := good(t, plain), good(t, plain)
	for _, tt := range []struct {
		step      string
		set       func(*relayd, string)
		want      *keypair.Pair
		installed bool
	}{
		{StepCheck, func(r *relayd, hang string) { r.d.Check = []string{hang} }, old, false},
		{StepReload, func(r *relayd, hang string) { r.d.Reload = []string{hang} }, p, false},
		{StepVerify, func(r *relayd, _ string) { r.d.Verify = endpoints(silent(r, r.reloads+".hangs", p)) }, p, true},
	} {
		t.Run(tt.step, func(t *testing.T) {
			r := startRelayd(t, []string{plain}, old)
			tt.set(r, script(t, "touch "+r.reloads+".hangs; sleep 1000"))
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- r.d.deploy(ctx, []renew.Change{{Name: plain, New: p, Previous: old}}) }()
			eventually(t, "the step hangs", func() bool {
				return text(t, r.reloads+".hangs") == ""
			})
			cancel()
			start := time.Now()
			err := <-done
			if d := time.Since(start); d > 30*time.Second {
				t.Errorf("took %s to end", d)
			}
			if e := failure(t, err, tt.step); !errors.Is(err, context.Canceled) || e.Installed != tt.installed {
				t.Errorf("Deploy = %v, installed %v", err, e.Installed)
			}
			r.holds(plain, tt.want)
		})
	}
}
