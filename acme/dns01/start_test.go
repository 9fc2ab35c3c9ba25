package dns01

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"keypaird/acme/dns01/need"
	"keypaird/acme/dns01/redact"
	"keypaird/renew/problem"
	"keypaird/renew/testutil"
	"keypaird/renew/textfmt"
)

func TestChildRunsAsUser(t *testing.T) {
	if os.Geteuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("only root may start a program as another user, and only Linux shows its user")
	}
	p := startProvider(t, nil)
	a := p.account(t)
	a.User = "nobody"
	err := a.Solve(t.Context(), challenge("example.org", "token"), func(context.Context) error {
		fi, err := os.Stat(fmt.Sprintf("/proc/%d", a.current.cmd.Pid()))
		if err != nil {
			return err
		}
		if uid := fi.Sys().(*syscall.Stat_t).Uid; uid == 0 {
			t.Error("the child runs as root")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	a.User = "no-such-user"
	if err := a.Solve(t.Context(), challenge("example.org", "token"), accept); err == nil || !strings.Contains(err.Error(), `there is no user "no-such-user"`) {
		t.Errorf("Solve = %v", err)
	}
}

func TestFaultyChild(t *testing.T) {
	for _, tt := range []struct{ name, script, want string }{
		{"exits immediately", "echo cannot load library >&2; exit 3", "opening _acme-challenge.example.org.: keypaird-dns exited: exit status 3; its last output: cannot load library"},
		{"answers not in JSON", "echo hello; exec sleep 60", "opening _acme-challenge.example.org.: keypaird-dns violated the protocol: not an answer: \"hello\""},
		{"answers with too long a line", "head -c 70000 /dev/zero; exec sleep 60", "opening _acme-challenge.example.org.: keypaird-dns violated the protocol: bufio.Scanner: token too long"},
		{"answers another value", `while read l; do echo '{"fqdn":"x.","value":"y"}'; done`, "locating _acme-challenge.example.org.: keypaird-dns computed a different TXT value"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(testutil.SafeDir(t), "child")
			if err := os.WriteFile(path, []byte("#!/bin/sh\n"+tt.script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			a := &Account{Name: "api", Provider: "httpreq", Child: path, Log: logOf(t), Env: map[string]string{need.Unconfined: "true"}}
			closed(t, a)
			err := a.Solve(t.Context(), challenge("example.org", "token"), accept)
			if want := `DNS account "api" (httpreq): ` + tt.want; err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("Solve = %v, want %q", err, want)
			}
		})
	}
}

// A child that could not be executed has not begun, so it has no fault to report.
func TestChildNotExecutable(t *testing.T) {
	path := filepath.Join(testutil.SafeDir(t), "child")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &Account{Name: "api", Provider: "httpreq", Child: path, Log: logOf(t)}
	closed(t, a)
	err := a.Solve(t.Context(), challenge("example.org", "token"), accept)
	if err == nil || !strings.HasSuffix(err.Error(), "keypaird-dns: cannot be started confined: running "+path+": permission denied") ||
		!strings.HasPrefix(problem.Remedy(err), "let the user that keypaird-dns runs as execute") {
		t.Errorf("Solve = %v; remedy: %s", err, problem.Remedy(err))
	}
}

func TestFindChild(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if path, err := FindChild(); err == nil || !strings.HasPrefix(err.Error(), "cannot find ") {
		t.Skipf("one is installed on this system: %s, %v", path, err)
	}
	err := (&Account{Name: "ns", Provider: "rfc2136"}).Solve(t.Context(), challenge("example.org", "token"), nil)
	if err == nil || !strings.Contains(err.Error(), `DNS account "ns" (rfc2136): starting: cannot find keypaird-dns`) ||
		!strings.Contains(problem.Remedy(err), "install keypaird-dns beside keypaird") {
		t.Errorf("Solve = %v", err)
	}
}

func TestStderrTail(t *testing.T) {
	a := &Account{Env: map[string]string{"X_API_TOKEN": "hunter22", "X_SECRET_FILE": "/etc/secret", "X_TSIG_KEY": "host.example"}}
	w := newStderrTail(slog.New(slog.DiscardHandler), redact.Of(a.variables()), nil)
	fmt.Fprintf(w, "one\ntwo\nthree\nfour\nwith hunter22, \x1b[31mhost.example and /etc/se")
	fmt.Fprintf(w, "cret\nthe end, without a line break")
	want := "four / with [X_API_TOKEN], host.example and /etc/secret / the end, without a line break"
	if got := w.String(); !strings.HasSuffix(got, want) || strings.Contains(got, "one") {
		t.Errorf("last words %q, want %q", got, want)
	}
	fmt.Fprint(w, strings.Repeat("x", 1e6), "\n")
	if n := len(w.String()); n > textfmt.TailLines*(textfmt.TailText+3) {
		t.Errorf("%d bytes kept", n)
	}
}
