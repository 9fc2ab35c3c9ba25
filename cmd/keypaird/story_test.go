package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"keypaird/renew/launch"
	"keypaird/renew/testutil"
)

// The stories under testdata/script are told with the real programs: keypaird
// is this test binary running main, keypaird-dns and keypaird-names are built once a run. Pebble,
// BIND, nginx and haproxy are real as well; see world_test.go for what is
// started, and script_test.go for the commands a story may use.
//
// As root on Linux each story runs in a process that has a network, mounts and
// process ids of its own, so that it can use ports 53, 80 and 443. Elsewhere it
// runs on ports that happen to be free.

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "keypaird-fleet" {
		os.Exit(watchedFleet())
	}
	launch.DNSUser = "nobody" // every machine has it
	commands := programs()
	commands["keypaird"] = main
	testscript.Main(program{m}, commands)
}

// programs are what stories may run beside keypaird.
func programs() map[string]func() {
	return map[string]func(){
		"floor":         floor,
		"front":         front,
		"relayd-double": relaydDouble,
		"fetch":         fetch,
		"activate":      activate,
	}
}

// A program is the test binary when it is to run tests, not one of the
// commands above.
type program struct{ m *testing.M }

func (p program) Run() int {
	if inside() {
		if err := setupNamespaces(); err != nil {
			fmt.Fprintln(os.Stderr, "setting up namespaces:", err)
			return 1
		}
	}
	if signal.Ignored(os.Interrupt) { // in the background of a shell: what stories start would ignore it, too
		signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	}
	// Where servers are, which is not in everybody's path.
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/local/sbin:/usr/sbin:/sbin")
	defer removeBuilt()
	return p.m.Run()
}

func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no stories", err)
	}
	notice(t, append(files, "testdata/golden/*",
		"../keypaird-dns/*.go", "../keypaird-dns/child/*.go", "../keypaird-names/*.go", "../keypaird-names/*/*.go",
		"../../hooks/discover/*.go", "../../hooks/discover/*/*.go", "../../hooks/verify/*.go", "../../hooks/verify/*/*.go", "../../hooks/probe/*.go",
		"../../README.md", "completion/*", "../../examples/[^q]*/*", "../../examples/rc.d/*/*")...)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			if !inNamespaces(t) {
				return
			}
			testscript.Run(t, testscript.Params{
				Files: []string{file}, Setup: setup, Cmds: scriptCommands(), RequireExplicitExec: true,
			})
		})
	}
}

// notice reads files that only other processes read, so that go test does not
// take its result from the cache when one of them has changed.
func notice(t *testing.T, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		for _, file := range files {
			if _, rerr := os.ReadFile(file); rerr != nil && !errors.Is(rerr, syscall.EISDIR) {
				err = rerr
			}
		}
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
	}
}

// setup makes the world of one story.
func setup(env *testscript.Env) error {
	if err := os.Chmod(env.WorkDir, 0o755); err != nil { // whatever our umask
		return err
	}
	keypaird, err := exec.LookPath("keypaird")
	if err != nil {
		return err
	}
	if err := placeChildren(keypaird); err != nil {
		return err
	}
	w, err := newWorld(env.T(), env.WorkDir)
	if err != nil {
		return err
	}
	env.Defer(w.close)
	env.Values[worldKey{}] = w
	for name, value := range w.vars {
		env.Setenv(name, value)
	}
	races := filepath.Join(env.WorkDir, ".race")
	env.Setenv("GORACE", "atexit_sleep_ms=0 log_path="+races)
	env.Defer(func() {
		if found, _ := filepath.Glob(races + ".*"); len(found) > 0 {
			text, _ := os.ReadFile(found[0])
			env.T().Fatal("data race:\n" + string(text))
		}
	})
	return nil
}

// childPrograms are the programs that keypaird starts.
var childPrograms = []string{"keypaird-dns", "keypaird-names", "keypaird-fleet"}

// placeChildren puts them where keypaird, at a path, finds them, beside itself, and
// where other users may run them.
func placeChildren(keypaird string) error {
	for _, name := range childPrograms {
		child, err := built(name)
		if err != nil {
			return err
		}
		err = os.Symlink(child, filepath.Join(filepath.Dir(keypaird), name))
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	// They run as other users, who must reach them.
	dir := filepath.Dir(keypaird)
	child, err := filepath.EvalSymlinks(filepath.Join(dir, childPrograms[0]))
	if err != nil {
		return err
	}
	for _, dir := range []string{filepath.Dir(child), dir, filepath.Dir(dir)} {
		if fi, err := os.Stat(dir); err != nil || fi.Mode()&0o001 == 0 {
			if err := os.Chmod(dir, 0o755); err != nil {
				return err
			}
		}
	}
	return nil
}

const insideEnv = "KEYPAIRD_TEST_WORLD"

// inside tells whether we are the process with its own namespaces.
func inside() bool { return os.Getenv(insideEnv) == "own" }

var skipped = regexp.MustCompile(`(?s)_test\.go:\d+: ([^\n]*)\n.*--- SKIP: `)

// inNamespaces has the test run in namespaces of its own, and reports whether the
// caller is to run it: in these, or here where there can be none.
func inNamespaces(t *testing.T) bool {
	t.Helper()
	why := ""
	if !inside() {
		why = whyNotOwn()
	}
	switch {
	case inside():
		return true
	case why != "" && os.Geteuid() == 0 && os.Getenv("CI") == "true":
		t.Fatal(why)
	case why != "":
		t.Log(why)
		return true
	}
	for _, name := range childPrograms { // for all of them
		if _, err := built(name); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.v", "-test.run", "^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.timeout", "15m")
	if *update {
		cmd.Args = append(cmd.Args, "-update")
	}
	cmd.Env = append(os.Environ(), insideEnv+"=own", builtEnv+"="+builtDir())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = 5 * time.Second
	ownNamespaces(cmd)
	// The process is killed when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err = cmd.Run()
	switch reason := skipped.FindStringSubmatch(out.String()); {
	case err != nil:
		t.Errorf("%v\n%s", err, out.String())
	case reason != nil:
		t.Skip(reason[1])
	case testing.Verbose():
		t.Log(out.String())
	}
	return false
}

const builtEnv = "KEYPAIRD_TEST_BUILT"

// builtDir is where programs are built, for this process and those it starts.
var builtDir = sync.OnceValue(func() string {
	if dir := os.Getenv(builtEnv); dir != "" {
		return dir
	}
	dir, err := os.MkdirTemp("", "keypaird-test-")
	if err != nil || os.Chmod(dir, 0o755) != nil { // children have other users
		return ""
	}
	return dir
})

func removeBuilt() {
	if os.Getenv(builtEnv) == "" {
		os.RemoveAll(builtDir())
	}
}

var building sync.Mutex

// built returns the path of one of the programs, built without the race
// detector. The child has a dozen providers only.
func built(program string) (string, error) {
	building.Lock()
	defer building.Unlock()
	path := filepath.Join(builtDir(), program)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return path, testutil.Build(path, program, "-ldflags", "-s -X keypaird/renew/launch.DNSUser="+launch.DNSUser)
}
