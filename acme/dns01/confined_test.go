package dns01

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// hasLandlock reports whether the kernel has Landlock.
func hasLandlock(t *testing.T) bool {
	t.Helper()
	const askVersion = 1 // LANDLOCK_CREATE_RULESET_VERSION
	_, _, errno := syscall.Syscall(landlockCreateRuleset, 0, 0, askVersion)
	if errno != 0 {
		t.Logf("this kernel has no Landlock (%v): what it denies is not tested", errno)
	}
	return errno == 0
}

const landlockCreateRuleset = 444 // on all of Linux's architectures

// The real child runs in its sandbox while it solves a challenge.
func TestBINDChildIsSandboxed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux shows in /proc what a process may do")
	}
	b := startBIND(t)
	a := b.account(t, "host")
	var log lockedBuffer
	a.Log = log.logger()
	landlock := hasLandlock(t)
	err := a.Solve(t.Context(), challenge("example.org", "token"), func(context.Context) error {
		pid := a.current.cmd.Pid()
		limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
		if err != nil || !strings.Contains(string(limits), "Max core file size        0 ") {
			t.Errorf("limits %s, %v", limits, err)
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil || landlock && !strings.Contains(string(status), "NoNewPrivs:\t1\n") {
			t.Errorf("status %s, %v", status, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if want := "confinement=\"Landlock, version "; landlock && !strings.Contains(log.String(), want) {
		t.Errorf("log %s, want %s", &log, want)
	}
	// No variable of its own names this file by an absolute path.
	other := b.account(t, "mail")
	other.Env["RFC2136_TSIG_FILE"] = strings.TrimPrefix(b.dir, "/") + "/mail.key"
	err = other.Solve(t.Context(), challenge("mail.example.org", "token"), accept)
	if landlock && (err == nil || !strings.Contains(err.Error(), "mail.key: permission denied")) {
		t.Errorf("a secret that is none of its own: %v", err)
	}
}

// Other processes of the same user cannot read what the child has in memory.
func TestChildMemoryIsProtected(t *testing.T) {
	if os.Geteuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("only root may start programs as another user, and only Linux has /proc")
	}
	a := startProvider(t, nil).account(t)
	a.User = "nobody"
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	attr := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	err = a.Solve(t.Context(), challenge("example.org", "token"), func(ctx context.Context) error {
		for _, tt := range []struct {
			pid  int
			want bool
		}{{a.current.cmd.Pid(), false}, {0, true}} {
			who := fmt.Sprint(tt.pid)
			if tt.pid == 0 {
				who = "self"
			}
			peek := exec.CommandContext(ctx, "cat", "/proc/"+who+"/environ")
			peek.SysProcAttr, peek.Dir = attr, "/"
			if out, err := peek.CombinedOutput(); (err == nil) != tt.want {
				t.Errorf("reading the environment of %s: %s, %v", who, out, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// acme-dns registers an account by itself and stores it in a file.
func TestAcmeDNSStoresAccounts(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/register" {
			http.NotFound(w, r)
			return
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"username":"u","password":"p","fulldomain":"f.auth.example","subdomain":"f","allowfrom":[]}`)
	}))
	defer srv.Close()
	p := startProvider(t, nil)
	dir := t.TempDir()
	store := filepath.Join(dir, "accounts.json")
	a := p.account(t)
	a.Provider, a.Env = "acme-dns", map[string]string{
		"ACME_DNS_API_BASE": srv.URL, "ACME_DNS_STORAGE_PATH": store, "NO_PROXY": "*",
	}
	err := a.Solve(t.Context(), challenge("example.org", "token"), accept)
	if err == nil || !strings.Contains(err.Error(), "CNAME") {
		t.Errorf("Solve = %v, want the CNAME to add", err)
	}
	if text, err := os.ReadFile(store); err != nil || !strings.Contains(string(text), "f.auth.example") {
		t.Errorf("kept %s, %v", text, err)
	}
}
