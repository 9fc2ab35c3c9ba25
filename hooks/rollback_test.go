package hooks

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"keypaird/hooks/expect"
	"keypaird/renew"
	"keypaird/renew/keypair"
)

// What to go back to, and what the files are afterwards.
func TestRollback(t *testing.T) {
	old, p := good(t, plain), good(t, plain)
	ended := newPair(t, -90*24*time.Hour, -time.Hour, plain)
	other := good(t, plain)
	crossed := func(r *relayd) { write(t, r.key(plain), string(other.Key())) }
	for _, tt := range []struct {
		name       string
		there      *keypair.Pair // in the files
		prepare    func(*relayd)
		previous   *keypair.Pair
		want       *keypair.Pair
		rolledBack bool
	}{
		{"previous is valid", old, nil, old, old, true},
		{"previous is valid, files are another's", other, nil, old, old, true},
		{"previous is valid, files do not match", old, crossed, old, old, true},
		{"previous has expired, files have not", old, nil, ended, old, true},
		{"previous has expired, files too", ended, nil, ended, p, false},
		{"no previous, files of another client", old, nil, nil, old, true},
		{"no previous, files do not match", old, crossed, nil, p, false},
		{"no previous, files have expired", ended, nil, nil, p, false},
		{"deployed again", p, nil, p, p, false},
		{"previous is the new one, files are older", old, nil, p, old, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := startRelayd(t, []string{plain}, tt.there)
			if tt.prepare != nil {
				tt.prepare(r)
			}
			r.reload(`[ "$KEYPAIRD_EVENT" = rollback ] || exit 1`)
			err := r.d.deploy(t.Context(), []renew.Change{{Name: plain, New: p, Previous: tt.previous}})
			failure(t, err, StepReload).stands(t, tt.rolledBack, false, plain)
			r.holds(plain, tt.want)
		})
	}
}

// Files come back as they were, with the owner and the modes that worked: their
// readers rely on it, whether another client put them there or we did.
func TestRollbackKeepsModes(t *testing.T) {
	old, p := good(t, plain), good(t, plain)
	for _, previous := range []*keypair.Pair{nil, old} {
		r := startRelayd(t, []string{plain}, old)
		os.Chmod(r.key(plain), 0o640)
		r.reload(`[ "$KEYPAIRD_EVENT" = rollback ] || exit 1`)
		c := renew.Change{Name: plain, New: p, Previous: previous}
		failure(t, r.d.deploy(t.Context(), []renew.Change{c}), StepReload).stands(t, true, false, plain)
		if fi, err := os.Stat(r.key(plain)); err != nil || fi.Mode() != 0o640 {
			t.Errorf("mode = %v, want 0640", fi.Mode())
		}
	}
}

// The configuration names both, and one of them has no certificate yet. Were
// the other taken away again, neither could ever come to be.
func TestFirstOfTwo(t *testing.T) {
	t.Parallel()
	p, q := good(t, plain), good(t, host)
	r := startRelayd(t, []string{plain, host})
	failure(t, r.d.deploy(t.Context(), []renew.Change{{Name: plain, New: p}}), StepCheck).stands(t, false, false, plain)
	r.holds(plain, p)
	r.reloaded()
	if err := r.d.deploy(t.Context(), []renew.Change{{Name: host, New: q}}); err != nil {
		t.Fatal(err)
	}
	r.shows(p)
	r.shows(q)
}

// A server that reads whole directories could not start with a file it minds.
func TestFirstIsMinded(t *testing.T) {
	r := startRelayd(t, []string{plain})
	r.d.Check = []string{script(t, "[ ! -e "+r.crt(plain)+" ] || { echo bad file; exit 1; }")}
	failure(t, r.d.deploy(t.Context(), []renew.Change{{Name: plain, New: good(t, plain)}}), StepCheck).stands(t, true, false, plain)
	if text(t, r.crt(plain)) != "(none)" || text(t, r.key(plain)) != "(none)" {
		t.Error("the files that the check minds are still there")
	}
	noLeftovers(t, r.ssl, filepath.Join(r.ssl, "private"))
	r.reloaded()
}

// One misconfigured target must not keep back the others.
func TestOneOfTwoIsNotServed(t *testing.T) {
	t.Parallel()
	oldPlain, oldHost := good(t, plain), good(t, host, "chat.example.org")
	newPlain, newHost := good(t, plain), good(t, host, "chat.example.org")
	r := startRelayd(t, []string{plain, host}, oldPlain, oldHost)
	r.place(fmt.Sprintf("%s:%d", host, r.at.Port), oldHost)
	r.d.Timeout = 2 * time.Second
	err := r.d.deploy(t.Context(), []renew.Change{{Name: plain, New: newPlain, Previous: oldPlain}, {Name: host, New: newHost, Previous: oldHost}})
	failure(t, err, StepVerify).stands(t, true, false, host)
	if !strings.Contains(err.Error(), `for "chat.example.org", "matrix.example.org", not `+newHost.Fingerprint()[:16]+";") {
		t.Errorf("error = %q", err)
	}
	r.holds(plain, newPlain)
	r.holds(host, oldHost)
	r.shows(newPlain)
	r.shows(oldHost)
	r.reloaded("deploy", "rollback")
}

func TestNotServedAndNothingToGoBackTo(t *testing.T) {
	t.Parallel()
	p := good(t, plain)
	r := startRelayd(t, []string{plain})
	r.d.Verify = endpoints(freePort(t))
	r.d.Timeout = 2 * time.Second
	err := r.d.deploy(t.Context(), []renew.Change{{Name: plain, New: p}})
	failure(t, err, StepVerify).stands(t, false, true, plain)
	if want := fmt.Sprintf("verifying: %s: connect: connection refused; the new pair stays in place", r.d.Verify[0]); err.Error() != want {
		t.Errorf("error = %q\nwant    %q", err, want)
	}
	r.holds(plain, p)
	r.shows(p)
	r.reloaded("deploy")
}

// The log says what became of the pair; what failed is in the error alone.
func TestRetreatInTheLog(t *testing.T) {
	t.Parallel()
	old, p := good(t, plain), good(t, plain)
	for _, tt := range []struct {
		name  string
		there []*keypair.Pair
		set   func(*relayd)
		want  string
	}{
		{"put back", []*keypair.Pair{old}, func(r *relayd) { r.d.Reload = []string{"false"} }, `msg="rolled back" deployment=relayd step=reload`},
		{"nothing to go back to", nil, func(r *relayd) { r.d.Reload = []string{"false"} }, `msg="rollback skipped" deployment=relayd step=reload why="nothing to roll back to"`},
		{"not verified", nil, func(r *relayd) {
			r.d.Verify, r.d.Timeout = endpoints(freePort(r.t)), time.Second
		}, `msg="rollback skipped" deployment=relayd step=verify why="the new pair is installed, only not verified"`},
		{"cannot go back", []*keypair.Pair{old}, func(r *relayd) {
			r.d.Reload = []string{script(r.t, "rm -r "+r.crt(plain)+" && mkdir -p "+r.crt(plain)+"/x; exit 1")}
		}, `msg="rollback failed" deployment=relayd step=reload err="writing `},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := startRelayd(t, []string{plain}, tt.there...)
			r.d.Name = "relayd"
			tt.set(r)
			if err := r.d.deploy(t.Context(), []renew.Change{{Name: plain, New: p}}); err == nil {
				t.Fatal("Deploy did not fail")
			}
			var lines []string
			for l := range strings.Lines(r.log.String()) {
				if !strings.Contains(l, "level=DEBUG") {
					lines = append(lines, l)
				}
			}
			if len(lines) != 1 || !strings.Contains(lines[0], "level=WARN "+tt.want) {
				t.Errorf("log above Debug = %q\nwant level=WARN %s", lines, tt.want)
			}
		})
	}
}

// The files are the previous pair's again, whatever the server makes of it.
func TestRollbackFailsToo(t *testing.T) {
	const onlyOnce = `[ "$KEYPAIRD_EVENT" = deploy ] || { echo no such proxy; exit 1; }`
	old, p := good(t, plain), good(t, plain)
	for _, tt := range []struct {
		name   string
		set    func(*relayd)
		step   string
		failed string
	}{
		{"reload", func(r *relayd) {
			r.reload("echo no such proxy; exit 1")
			r.d.Verify = nil // or it would be seen to go on with the previous pair
		}, StepReload, "reloading it failed too: hook "},
		{"check", func(r *relayd) {
			r.reload("exit 1")
			r.d.Check = []string{script(r.t, onlyOnce)}
		}, StepReload, "reloading it failed too: hook "},
		{"verification", func(r *relayd) {
			r.d.Reload = []string{script(r.t, "kill "+strconv.Itoa(r.process.Process.Pid))}
			r.d.Timeout = time.Second
		}, StepVerify, "verifying it failed too: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := startRelayd(t, []string{plain}, old)
			tt.set(r)
			e := failure(t, r.d.deploy(t.Context(), []renew.Change{{Name: plain, New: p, Previous: old}}), tt.step)
			if !e.RolledBack || e.Installed || e.RollbackErr == nil || !strings.Contains(e.Error(), "; the previous pair is back in place, but "+tt.failed) {
				t.Errorf("RolledBack %v, Installed %v, RollbackErr %v: %v", e.RolledBack, e.Installed, e.RollbackErr, e)
			}
			r.holds(plain, old)
		})
	}
}

// What is not served after a rollback is said of the target that it concerns.
func TestRollbackErrorsByTarget(t *testing.T) {
	a, b, c := &target{served: &expect.Target{Name: "a"}}, &target{served: &expect.Target{Name: "b"}}, &target{served: &expect.Target{Name: "c"}}
	r := &run{missing: map[*expect.Target][]error{a.served: {errors.New("a is not served")}, b.served: {errors.New("b is not served")}}}
	err := errors.New("verifying it failed too: a is not served; b is not served")
	for _, tt := range []struct {
		targets []*target
		want    string
	}{
		{[]*target{a}, "verifying it failed too: a is not served"},
		{[]*target{b}, "verifying it failed too: b is not served"},
		{[]*target{a, b}, "verifying it failed too: a is not served; b is not served"},
		{[]*target{c}, "<nil>"},
	} {
		if got := fmt.Sprint(r.ofTargets(err, tt.targets)); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
	r.missing = nil
	if other := errors.New("reloading it failed too"); r.ofTargets(other, []*target{c}) != other {
		t.Error("the error of another step is of all targets")
	}
}
