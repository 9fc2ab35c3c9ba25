package hooks

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"keypaird/hooks/probe"
	"keypaird/renew"
	"keypaird/renew/durable"
)

// Whatever a killed process leaves, the next deployment puts right, without
// knowing anything of the one before.
func TestKilled(t *testing.T) {
	old, p := good(t, plain), good(t, plain)
	for _, tt := range []struct {
		name string
		kill func(*relayd) Deployment // what the process that gets killed deploys
	}{
		{"in the check", func(r *relayd) Deployment {
			d := r.d
			d.Check = []string{script(r.t, "kill -9 $PPID")}
			return d
		}},
		{"in the reload, before it took effect", func(r *relayd) Deployment {
			d := r.d
			d.Reload = []string{script(r.t, "kill -9 $PPID")}
			return d
		}},
		{"in the reload, after it took effect", func(r *relayd) Deployment {
			d := r.d
			d.Reload = []string{script(r.t, r.d.Reload[0]+"; kill -9 $PPID")}
			return d
		}},
		{"while it looks at what is served", func(r *relayd) Deployment {
			d, pid := r.d, filepath.Join(r.t.TempDir(), "pid")
			d.Reload = []string{script(r.t, r.d.Reload[0]+"; echo $PPID >"+pid)}
			d.Verify = endpoints(deadly(r.t, pid))
			return d
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := startRelayd(t, []string{plain}, old)
			out, err := inProcess(t, tt.kill(r), plain, p, 0)
			if err == nil || !strings.Contains(err.Error(), "killed") {
				t.Fatalf("the process was not killed: %v\n%s", err, out)
			}
			r.holds(plain, p) // whole, whenever that was
			if err := r.d.deploy(t.Context(), []renew.Change{{Name: plain, New: p, Previous: old}}); err != nil {
				t.Fatal(err)
			}
			// It may still be busy with the reload of the one that was killed.
			eventually(t, "the new pair is served", func() bool { return serves(t, r.at, p) == nil })
			r.holds(plain, p)
		})
	}
}

// deadly is a place at which nobody lives who looks: as soon as it is dialled and
// the file is there, the process whose id is in it is killed.
func deadly(t *testing.T, pid string) probe.Endpoint {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at, err := probe.ParseEndpoint(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var waiting sync.WaitGroup
	waiting.Go(func() {
		var id []byte
		for len(id) == 0 {
			conn, err := ln.Accept()
			if err != nil {
				return // nobody came
			}
			defer conn.Close()
			if id, err = os.ReadFile(pid); err != nil && !os.IsNotExist(err) {
				t.Error(err)
				return
			}
			if len(id) == 0 {
				conn.Close() // it looks before it begins
			}
		}
		process, err := strconv.Atoi(strings.TrimSpace(string(id)))
		if err == nil {
			err = syscall.Kill(process, syscall.SIGKILL)
		}
		if err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { ln.Close(); waiting.Wait() })
	return at
}

// A kill between the two renames cannot be timed; this is what it leaves.
func TestKilledBetweenKeyAndChain(t *testing.T) {
	old, p := good(t, plain), good(t, plain)
	leave := func(t *testing.T, r *relayd) {
		write(t, r.key(plain), string(p.Key()))
		write(t, staged(r.crt(plain)), string(p.FullChain()))
		write(t, staged(r.key(plain)), "half a k")
	}
	t.Run("the next succeeds", func(t *testing.T) {
		r := startRelayd(t, []string{plain}, old)
		leave(t, r)
		if err := r.d.deploy(t.Context(), []renew.Change{{Name: plain, New: p, Previous: old}}); err != nil {
			t.Fatal(err)
		}
		r.holds(plain, p)
		r.shows(p)
	})
	t.Run("the next fails", func(t *testing.T) {
		r := startRelayd(t, []string{plain}, old)
		leave(t, r)
		r.reload(`[ "$KEYPAIRD_EVENT" = rollback ] || exit 1`)
		failure(t, r.d.deploy(t.Context(), []renew.Change{{Name: plain, New: p, Previous: old}}), StepReload).stands(t, true, false, plain)
		r.holds(plain, old)
	})
}

// A full disk is noticed before anything has changed.
func TestDiskFull(t *testing.T) {
	old, p := good(t, plain), good(t, plain)
	r := startRelayd(t, []string{plain}, old)
	limit := uint64(len(p.Key()) + 10) // room for the key, not for the chain
	out, err := inProcess(t, r.d, plain, p, limit)
	if want := "writing " + r.crt(plain) + ": file too large"; err == nil || !strings.Contains(out, want) {
		t.Errorf("error = %q, want %q", out, want)
	}
	r.holds(plain, old)
	r.shows(old)
	r.reloaded()
}

// One rename that fails after others have been done takes those back.
func TestInstallFailsHalfWay(t *testing.T) {
	old, p := good(t, plain), good(t, plain)
	r := startRelayd(t, []string{plain}, old)
	planned, err := r.d.planned(plain, p, ids{-1, -1})
	if err != nil {
		t.Fatal(err)
	}
	states := []state{planned}
	states[0].files = append(states[0].files, file{path: filepath.Join(r.ssl, "in-the-way"), data: []byte("x"), mode: durable.FileMode{Perm: 0o600, UID: -1, GID: -1}})
	if err := os.MkdirAll(filepath.Join(r.ssl, "in-the-way", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	touched, err := put(states)
	if !touched || err == nil || !strings.Contains(err.Error(), "in-the-way") {
		t.Errorf("put = %v, %v", touched, err)
	}
	noLeftovers(t, r.ssl, filepath.Join(r.ssl, "private"))
}
