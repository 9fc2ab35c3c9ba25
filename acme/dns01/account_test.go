package dns01

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"keypaird/acme"
	"keypaird/renew/launch"
	"keypaird/renew/testutil"
)

func TestMain(m *testing.M) {
	launch.DNSUser = "nobody" // every machine has it
	if config := os.Getenv("DNS01_TEST_PARENT"); config != "" {
		parent(config)
		return
	}
	code := testutil.Run(m)
	if lean.dir != "" {
		os.RemoveAll(lean.dir)
	}
	os.Exit(code)
}

var lean struct {
	once      sync.Once
	dir, path string
	err       error
}

// leanChild builds keypaird-dns with a few providers, once.
func leanChild(t testing.TB) string {
	t.Helper()
	lean.once.Do(func() {
		if lean.dir, lean.err = os.MkdirTemp("", "keypaird-dns"); lean.err != nil {
			return
		}
		lean.path = filepath.Join(lean.dir, childName)
		lean.err = testutil.Build(lean.path, "keypaird-dns")
		// Other users must be able to run it.
		_ = os.Chmod(lean.dir, 0o755)
	})
	if lean.err != nil {
		t.Fatal(lean.err)
	}
	return lean.path
}

func logOf(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func challenge(name, token string) acme.Challenge {
	return acme.Challenge{Type: acme.DNS01, Identifier: name, Token: token, KeyAuth: token + ".thumbprint"}
}

// parent is the test binary as a daemon that will be killed: it solves one challenge
// and prints a word when the CA would be asked.
func parent(config string) {
	a := &Account{}
	if err := json.Unmarshal([]byte(config), a); err != nil {
		panic(err)
	}
	fmt.Println("proving")
	err := a.Solve(context.Background(), challenge("example.org", "killed"), func(context.Context) error {
		fmt.Println("validating")
		select {}
	})
	fmt.Println(err)
}

// startParent runs it and returns when it has printed word.
func startParent(t *testing.T, a *Account, word string) *exec.Cmd {
	t.Helper()
	config, err := json.Marshal(map[string]any{
		"Name": a.Name, "Provider": a.Provider, "Env": a.Env, "Child": a.Child,
		"Resolvers": a.Resolvers, "System": a.System, "Port": a.Port, "Propagation": a.Propagation,
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "DNS01_TEST_PARENT="+string(config))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() == word {
			return cmd
		}
		if lines.Text() != "proving" {
			t.Fatal(lines.Text())
		}
	}
	t.Fatal("the daemon ended")
	return nil
}

func TestBINDPresentsAndCleansUp(t *testing.T) {
	b := startBIND(t)
	const at = "_acme-challenge.example.org."
	for _, tt := range []struct {
		name, domain, at string
		rest             string // of the records at that name
	}{
		{"a name where another host has a record", "example.org", at, "of another host"},
		{"a name in capitals", "EXAMPLE.org", at, "of another host"},
		{"a name delegated by CNAME", "www.example.org", "www.acme.example.org.", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := b.account(t, "host")
			c := challenge(tt.domain, "token")
			during := ""
			err := a.Solve(t.Context(), c, func(context.Context) error {
				during = b.txt(t, tt.at)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(during, txtValue(c.KeyAuth)) || !strings.Contains(during, tt.rest) {
				t.Errorf("while the CA looked: %q, want ours and %q", during, tt.rest)
			}
			if after := b.txt(t, tt.at); after != tt.rest {
				t.Errorf("after: %q, want %q", after, tt.rest)
			}
			if err := a.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// The CA refuses: Solve returns its error and removes the record.
func TestBINDValidationFails(t *testing.T) {
	b := startBIND(t)
	refused := errors.New("the CA says no")
	err := b.account(t, "host").Solve(t.Context(), challenge("example.org", "token"), func(context.Context) error { return refused })
	if !errors.Is(err, refused) {
		t.Errorf("Solve = %v", err)
	}
	if after := b.txt(t, "_acme-challenge.example.org."); after != "of another host" {
		t.Errorf("after: %q", after)
	}
}

// Both values are published at one name at the same time: an order of apex and
// wildcard validates them in parallel.
func TestBINDApexAndWildcard(t *testing.T) {
	b := startBIND(t)
	a := b.account(t, "host")
	var both, looked, all sync.WaitGroup
	both.Add(2)
	looked.Add(2)
	for i := range 2 {
		c := challenge("example.org", fmt.Sprint("token", i))
		c.Wildcard = i == 1
		all.Go(func() {
			err := a.Solve(t.Context(), c, func(context.Context) error {
				both.Done()
				both.Wait()
				if during := b.txt(t, "_acme-challenge.example.org."); strings.Count(during, "|") != 2 {
					t.Errorf("while the CA looked: %q", during)
				}
				looked.Done()
				looked.Wait() // who is first takes its record away
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if after := b.txt(t, "_acme-challenge.example.org."); after != "of another host" {
		t.Errorf("after: %q", after)
	}
}

func TestBINDTwoAccountsOfOneProvider(t *testing.T) {
	b := startBIND(t)
	var all, both sync.WaitGroup
	both.Add(2)
	for key, domain := range map[string]string{"host": "example.org", "mail": "mail.example.org"} {
		a := b.account(t, key)
		a.Env["SECRET_OF"] = key
		all.Go(func() {
			err := a.Solve(t.Context(), challenge(domain, "token"), func(context.Context) error {
				both.Done()
				both.Wait() // both children live
				a.mu.Lock()
				defer a.mu.Unlock()
				checkEnviron(t, a.current.cmd.Pid(), a.Env)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// checkEnviron checks the environment of a child, and that signals of the terminal do
// not reach it.
func checkEnviron(t *testing.T, pid int, env map[string]string) {
	t.Helper()
	if pgid, err := syscall.Getpgid(pid); err != nil || pgid != pid {
		t.Errorf("process group %d of child %d, %v", pgid, pid, err)
	}
	if runtime.GOOS != "linux" {
		return
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		if os.Geteuid() == 0 || !errors.Is(err, os.ErrPermission) {
			t.Error(err)
		}
		return // the child has closed its memory to all but root
	}
	for pair := range strings.SplitSeq(strings.TrimSuffix(string(data), "\x00"), "\x00") {
		name, value, _ := strings.Cut(pair, "=")
		switch {
		case env[name] == value && value != "":
		case name == "RFC2136_TSIG_FILE" && os.Geteuid() == 0 && value == launch.Descriptors+"3":
		case name == "PATH", name == "TZ", strings.HasSuffix(strings.ToLower(name), "_proxy"):
		default:
			t.Errorf("the child has %s", pair)
		}
	}
}
