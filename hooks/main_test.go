package hooks

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"keypaird/hooks/expect"
	"keypaird/hooks/probe"
	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/testutil"
)

// The test binary is also the programs that the tests need: started with one
// of these as its first argument, it is that.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "relayd-double":
			relaydDouble(os.Args[2:])
		case "deploy":
			deployAsProcess(os.Args[2])
		}
	}
	os.Exit(testutil.Run(m))
}

// self returns the path of the test binary.
func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// exit is os.Exit without the second that the race detector takes for it.
func exit(status int) { syscall.Exit(status) }

// A task is what a process of its own is to deploy.
type task struct {
	Deployment Deployment
	Name       string
	Chain, Key []byte
	MaxFile    uint64 // no file may become larger, as on a full disk; 0: any size
}

// deployAsProcess does a task and prints its error.
func deployAsProcess(path string) {
	var tk task
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &tk)
	}
	if err == nil && tk.MaxFile > 0 {
		signal.Ignore(syscall.SIGXFSZ)
		err = setMaxFile(tk.MaxFile)
	}
	var p *keypair.Pair
	if err == nil {
		p, err = keypair.Parse(tk.Chain, tk.Key)
	}
	if err == nil {
		err = tk.Deployment.deploy(context.Background(), []renew.Change{{Name: tk.Name, New: p}})
	}
	if err != nil {
		fmt.Println(err)
		exit(1)
	}
	exit(0)
}

// inProcess runs a task in a process of its own and returns what it printed.
func inProcess(t *testing.T, d Deployment, name string, p *keypair.Pair, maxFile uint64) (string, error) {
	t.Helper()
	d.Log = nil
	data, err := json.Marshal(task{d, name, p.FullChain(), p.Key(), maxFile})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "task.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(self(t), "deploy", path).CombinedOutput()
	return string(out), err
}

func write(t *testing.T, path, text string) {
	t.Helper()
	testutil.WriteFile(t, path, text, 0o600)
}

// Helpers that several packages share.
var (
	eventually = testutil.Eventually
	safeDir    = testutil.SafeDir
	script     = testutil.Script
	text       = testutil.Text
)

// daemon starts a program of the tests and ends it, by its id, with the test.
func daemon(t *testing.T, program string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(program, args...)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Signal(syscall.SIGTERM)
		c.Wait()
		log.Close()
		if t.Failed() {
			t.Logf("%s: %s", filepath.Base(program), text(t, log.Name()))
		}
	})
	return c
}

// freePort returns an endpoint of this machine without a listener.
func freePort(t *testing.T) probe.Endpoint {
	t.Helper()
	e, err := probe.ParseEndpoint(testutil.FreeAddr(t))
	testutil.Must(t, err)
	return e
}

// endpoints returns endpoints of a deployment.
func endpoints(list ...probe.Endpoint) []expect.Endpoint {
	var out []expect.Endpoint
	for _, e := range list {
		out = append(out, expect.Endpoint{Endpoint: e})
	}
	return out
}

// serves reports whether e serves p for each of its names.
func serves(t *testing.T, e probe.Endpoint, p *keypair.Pair) error {
	t.Helper()
	for _, name := range p.Names() {
		chain, err := probe.Dial(t.Context(), e, name)
		if err != nil {
			return err
		}
		if !chain[0].Equal(p.Leaf) {
			return fmt.Errorf("%s serves %s for %s", e, probe.Fingerprint(chain[0]), name)
		}
	}
	return nil
}

// noLeftovers fails if dir holds temporary files.
func noLeftovers(t *testing.T, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		for _, n := range namesIn(dir) {
			if strings.HasPrefix(n, ".") {
				t.Errorf("left over: %s", filepath.Join(dir, n))
			}
		}
	}
}

// textLog is a logger that writes to w.
func textLog(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
