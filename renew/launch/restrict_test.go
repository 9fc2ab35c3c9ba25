package launch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain is also the restricted process.
func TestMain(m *testing.M) {
	if dir := os.Getenv("CONFINE_TEST_DIR"); dir != "" {
		os.Exit(confined(dir))
	}
	if dir := os.Getenv("CONFINED_TEST_DIR"); dir != "" {
		os.Exit(Confined(dir))
	}
	if dir := os.Getenv("LAUNCH_TEST_DIR"); dir != "" {
		os.Exit(attack(dir))
	}
	os.Exit(m.Run())
}

// An operation is allowed or denied to a process.
type operation struct {
	name    string
	allowed bool // when confined
	do      func() error
	since   int // version of Landlock that can deny it; unveil and pledge cannot if it is set
}

func read(path string) func() error {
	return func() error { _, err := os.ReadFile(path); return err }
}

// operations returns those of a process that keeps DIR/kept and DIR/below, and may
// write to DIR/store.
func operations(dir string) []operation {
	in := func(name string) string { return filepath.Join(dir, name) }
	may := func(name string, do func() error) operation { return operation{name, true, do, 0} }
	not := func(name string, do func() error) operation { return operation{name, false, do, 0} }
	list := []operation{
		may("read a file it keeps", read(in("kept"))),
		may("read below a directory it keeps", read(in("below/deep/file"))),
		may("list a directory it keeps", func() error { _, err := os.ReadDir(in("below")); return err }),
		may("read a file that a variable names", read(in("named"))),
		may("write to a file it may write", func() error { return os.WriteFile(in("store"), []byte("new"), 0o600) }),
		may("read what it wrote", read(in("store"))),
		may("read /etc/resolv.conf", read("/etc/resolv.conf")),
		may("read a certificate", read(in("certs/ca.pem"))),
		may("list certificates", func() error { _, err := os.ReadDir(in("certs")); return err }),
		may("send a datagram", func() error {
			c, err := net.Dial("udp", "127.0.0.1:9")
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.Write([]byte("x"))
			return err
		}),
		may("connect", connect),
		not("read a secret", read(in("secret"))),
		{"read a private key among certificates", false, read(in("certs/private.pem")), 1},
		not("read /etc/passwd", read("/etc/passwd")),
		not("list a directory", func() error { _, err := os.ReadDir(dir); return err }),
		not("write to a file it keeps", func() error { return os.WriteFile(in("kept"), nil, 0o600) }),
		not("make a file", func() error { return os.WriteFile(in("new"), nil, 0o600) }),
		not("make a directory", func() error { return os.Mkdir(in("newdir"), 0o700) }),
		not("remove a file", func() error { return os.Remove(in("old")) }),
		not("run a program", func() error { return exec.Command("/bin/sh", "-c", ":").Run() }),
		not("run a program it keeps", func() error { return exec.Command(in("program")).Run() }),
		{"listen", false, bindTCP, 4},
		{"signal its parent", false, func() error { return syscall.Kill(os.Getppid(), syscall.SIGURG) }, 6},
	}
	if runtime.GOOS == "linux" {
		list = append(list, not("read its parent's environment", read(fmt.Sprintf("/proc/%d/environ", os.Getppid()))))
	}
	return list
}

func connect() error {
	c, err := net.DialTimeout("tcp", os.Getenv("CONFINE_TEST_ADDR"), 5*time.Second)
	if err == nil {
		c.Close()
	}
	return err
}

// bindTCP listens without MPTCP, which Landlock does not reach.
func bindTCP() error {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err == nil {
		l.Close()
	}
	return err
}

// confined restricts this process and prints which operations succeed, on each of
// several threads that existed before.
func confined(dir string) int {
	const threads = 4
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	output := make([]string, threads)
	ready.Add(threads)
	for i := range threads {
		done.Go(func() {
			runtime.LockOSThread()
			ready.Done()
			<-start
			for _, d := range operations(dir) {
				err := d.do()
				if err != nil && !denied(err) {
					output[i] += fmt.Sprintf("%s: %v\n", d.name, err)
				} else {
					output[i] += fmt.Sprintf("%s: %v\n", d.name, err == nil)
				}
				if i > 0 && d.name == "read a secret" {
					break // enough for the other threads
				}
			}
		})
	}
	ready.Wait()
	in := func(name string) string { return filepath.Join(dir, name) }
	k := Keep{
		Read:  append(Named(os.Environ(), dir), in("kept"), in("below"), in("program"), in("nonexistent")),
		Write: []string{in("store"), in("nonexistent")},
	}
	if os.Getenv("CONFINE_TEST_NOT") == "" {
		means, err := Process(k)
		fmt.Printf("means %q %v\n", means, err)
	}
	close(start)
	done.Wait()
	fmt.Print(output[0])
	for _, other := range output[1:] {
		if !strings.HasPrefix(output[0], other) {
			fmt.Printf("another thread: %s", other)
		}
	}
	return 0
}

func denied(err error) bool {
	return errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, os.ErrNotExist)
}

// makeFiles makes the files of operations.
func makeFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"below/deep", "certs"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for file, mode := range map[string]os.FileMode{
		"kept": 0o600, "below/deep/file": 0o600, "named": 0o600, "store": 0o600, "secret": 0o600, "old": 0o600,
		"certs/ca.pem": 0o644, "certs/private.pem": 0o600, "program": 0o755,
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestProcess(t *testing.T) {
	here := means()
	if here == "" {
		t.Log("this system has no mechanism: the test is that this is no error")
	}
	for _, confines := range []bool{false, true} {
		t.Run(fmt.Sprint("confined=", confines), func(t *testing.T) {
			dir := makeFiles(t)
			output := run(t, dir, confines)
			if want := fmt.Sprintf("means %q <nil>\n", here); confines && !strings.HasPrefix(output, want) {
				t.Fatalf("%s, want %s", output, want)
			}
			for _, d := range operations(dir) {
				want := "true"
				if !d.allowed && confines && denies(here, d) {
					want = "false"
				}
				if got := resultOf(output, d.name); got != want {
					t.Errorf("%s: %s, want %s", d.name, got, want)
				}
			}
			if strings.Contains(output, "another thread") {
				t.Errorf("threads differ:\n%s", output)
			}
		})
	}
}

// denies reports whether a mechanism can deny an operation.
func denies(means string, d operation) bool {
	version := 0
	if _, err := fmt.Sscanf(means, "Landlock, version %d", &version); err == nil {
		return version >= d.since
	}
	return means != "" && d.since == 0
}

// resultOf returns the printed result of an operation.
func resultOf(output, name string) string {
	for line := range strings.Lines(output) {
		if how, ok := strings.CutPrefix(strings.TrimSpace(line), name+": "); ok {
			return how
		}
	}
	return "no result"
}

func run(t *testing.T, dir string, confines bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = []string{"CONFINE_TEST_DIR=" + dir, "CONFINE_TEST_ADDR=" + l.Addr().String(), "SSL_CERT_DIR=" + filepath.Join(dir, "certs"),
		"X_FILE=~/named", "X_PIPE=/dev/stdin", "X_NOT=secret", "X_DIR=" + dir}
	if !confines {
		cmd.Env = append(cmd.Env, "CONFINE_TEST_NOT=1")
	}
	pipe, w, err := os.Pipe() // what /dev/stdin leads to
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer w.Close()
	cmd.Stdin = pipe
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s%s", err, out, &errs)
	}
	return string(out)
}

func TestNamed(t *testing.T) {
	dir := makeFiles(t)
	got := Named([]string{
		"A=" + dir + "/kept", "B=~/named", "C=FILE:" + dir + "/secret", "D=kept", "E=" + dir, "F=" + dir + "/none",
		"G=https://a.example/", "H=" + strings.Repeat("/x", 5000), "I", "J=",
	}, dir)
	want := []string{dir + "/kept", dir + "/named", dir + "/secret"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Named = %q, want %q", got, want)
	}
	if got := Named([]string{"B=~/named"}, ""); got != nil {
		t.Errorf("without a home: %q", got)
	}
}

func TestRewind(t *testing.T) {
	f, err := os.Open(filepath.Join(makeFiles(t), "kept"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 2 {
		if n, err := f.Read(make([]byte, 100)); n == 0 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		Rewind([]string{"A", "B=" + Descriptors, "C=" + Descriptors + "0", fmt.Sprint("X_FILE=", Descriptors, f.Fd())})
	}
}

func TestNoCoreDumps(t *testing.T) {
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &before); err != nil {
		t.Fatal(err)
	}
	raised := before
	raised.Cur = raised.Max
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &raised); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Setrlimit(unix.RLIMIT_CORE, &before) }()
	for range 2 { // again is no mistake
		if err := NoCoreDumps(); err != nil {
			t.Fatal(err)
		}
	}
	var after unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &after); err != nil || after.Cur != 0 || after.Max != raised.Max {
		t.Errorf("limit %+v, %v, was %+v", after, err, raised)
	}
	closed(t)
}
