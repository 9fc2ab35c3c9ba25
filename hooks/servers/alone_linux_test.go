package servers

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keypaird/renew/testutil"
)

// insideEnv tells the process with namespaces of its own where the programs
// are.
const insideEnv = "KEYPAIRD_TEST_PROGRAMS"

func TestMain(m *testing.M) {
	if os.Getenv(insideEnv) != "" {
		if err := setupNamespaces(); err != nil {
			fmt.Fprintln(os.Stderr, "setting up namespaces:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil { // but see slots
		panic(err)
	}
	status := m.Run()
	os.RemoveAll(programsDir) // "" if all were skipped
	os.Exit(status)
}

// programsDir is what programs returned, if it was called.
var programsDir string

// programs returns the directory of keypaird and its children, which are built
// once, with a dozen DNS providers.
var programs = sync.OnceValues(func() (string, error) {
	if err := notice("../../acme", "../../cmd", "../../hooks", "../../renew"); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "keypaird-servers-")
	if err != nil {
		return "", err
	}
	programsDir = dir
	if err := os.Chmod(dir, 0o755); err != nil { // children have other users
		return "", err
	}
	for _, name := range []string{"keypaird", "keypaird-dns", "keypaird-names"} {
		if err := testutil.Build(filepath.Join(dir, name), name, "-ldflags=-s"); err != nil {
			return "", err
		}
	}
	return dir, nil
})

// notice reads all source of the programs, so that go test does not take the
// results from its cache when some of it has changed.
func notice(dirs ...string) error {
	for _, dir := range dirs {
		if err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				_, err = os.ReadFile(path)
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// slow are the tests that take longest, which begin at once. The others share
// some slots: all wait for servers more than they work, but need memory.
var (
	slow  = map[string]bool{"TestEjabberd": true, "TestEjabberdAndFiles": true, "TestProsodyAndFiles": true, "TestHouseWithEjabberd": true, "TestHouseWithProsody": true}
	slots = make(chan struct{}, 3)
)

var skipped = regexp.MustCompile(`(?s)--- SKIP: [^\n]*\n\s*(.*?)\n`)

// alone has the test run in a process with namespaces of its own, beside other
// tests, and reports whether this is it. All that is left running there ends
// with it.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideEnv) != "" {
		return true
	}
	debian, _ := os.ReadFile("/etc/debian_version")
	switch {
	case os.Geteuid() != 0:
		t.Skip("needs root: servers are started as users of their own")
	case !strings.HasPrefix(string(debian), "12.") && !testutil.Required():
		t.Skip("needs the packages of Debian 12; runs there and with CI=true")
	}
	t.Parallel()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	if !slow[t.Name()] {
		slots <- struct{}{}
		defer func() { <-slots }()
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The shell is the first process there: it waits for orphans, too.
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `"$0" "$@"; exit $?`,
		self, "-test.v", "-test.run", "^"+t.Name()+"$", "-test.timeout", "18m")
	cmd.Env = append(os.Environ(), insideEnv+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	runtime.LockOSThread() // the process is killed when the thread that started it ends
	defer runtime.UnlockOSThread()
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) && !testutil.Required() {
		t.Skip("needs namespaces of its own, which root cannot have here; runs where he can and with CI=true")
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if reason := skipped.FindSubmatch(out); reason != nil {
		t.Skipf("%s", reason[1])
	}
	if testing.Verbose() {
		t.Logf("%s", out)
		t.Logf("%v, of which the processors worked %v", time.Since(began).Round(time.Millisecond), cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	}
	return false
}

// ours is a directory for the files of a test, for which it is the only one.
const ours = "/mnt"

// setupNamespaces prepares the namespaces that this process was started in: a loopback
// network, a name, directories that can be changed, and an empty /run. What is
// mounted here is nobody else's.
func setupNamespaces() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	for _, dir := range []string{ours, "/run", "/usr/local/sbin"} {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
			return fmt.Errorf("mounting %s: %w", dir, err)
		}
	}
	if err := os.Mkdir("/run/lock", 0o755); err != nil {
		return err
	}
	for _, dir := range []string{"/etc", "/var"} {
		upper, work := ours+dir+"/upper", ours+dir+"/work"
		if err := errors.Join(os.MkdirAll(upper, 0o755), os.Mkdir(work, 0o755)); err != nil {
			return err
		}
		o := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", dir, upper, work)
		if err := unix.Mount("overlay", dir, "overlay", 0, o); err != nil {
			return fmt.Errorf("mounting a copy of %s: %w", dir, err)
		}
	}
	for file, text := range map[string]string{
		"/etc/resolv.conf": "nameserver 127.0.0.1\n",
		"/etc/hosts":       "127.0.0.1 localhost\n127.0.0.1 chat.example.org chat\n",
		"/etc/hostname":    "chat\n",
	} {
		os.Remove(file) // others may have mounted or linked theirs
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := unix.Sethostname([]byte("chat")); err != nil {
		return err
	}
	return testutil.StartLoopback()
}
