// Package servers starts the servers that there are presets for, the real ones
// from Debian, each with a configuration of its own in a temporary directory,
// and carries pairs there as the presets say: what is promised of them is seen
// by an independent client, openssl s_client.
//
// It takes root, since servers run as users of their own, and nothing else of
// the machine: no service manager, and of ports only those of addresses
// 127.x.y.z that no other process has.
package servers

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// These tests wait for servers more than they work, so all of them run at the
// same time.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// program returns the path of a program that the tests need. On Debian, the
// whole suite is to run, and it has to be there.
func program(t *testing.T, name, debianPackage string) string {
	t.Helper()
	for _, dir := range []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	if _, err := os.Stat("/etc/debian_version"); err == nil || os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed: apt-get install --no-install-recommends %s", name, debianPackage)
	}
	t.Skipf("%s is not installed here; the test runs on Debian and with CI=true", name)
	return ""
}

// needRoot skips the test unless users can be changed and every 127.x.y.z is
// this machine.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("needs Linux and root: servers are started as users of their own")
	}
}

// newDir makes a directory with a short name, as unix sockets need, that every
// user can enter.
func newDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "kp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// write writes a file that everybody can read. No process is started
// meanwhile: it would hold the file open for a moment, and a script that is
// open cannot be run.
func write(t *testing.T, path, text string) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// script writes a shell script and returns its path.
func script(t *testing.T, path, body string) string {
	t.Helper()
	write(t, path, "#!/bin/sh\n"+body+"\n")
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// text returns a file's content, or "" if there is none.
func text(path string) string {
	data, _ := os.ReadFile(path)
	return string(data)
}

// mkdir makes a directory for a user, "" for root.
func mkdir(t *testing.T, path, owner string, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	if owner != "" {
		id := credential(t, owner)
		if err := os.Chown(path, int(id.Uid), int(id.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// credential looks a user of a package up.
func credential(t *testing.T, name string) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// patience bounds every wait for a server: some start slowly while all start.
const patience = 45 * time.Second

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// A process is a server that was started, with its whole group.
type process struct {
	cmd  *exec.Cmd
	log  string // the file its output goes to
	done chan struct{}
}

// start starts a server as a user, "" for root, in a group of its own that is
// ended with the test.
func start(t *testing.T, home, asUser string, argv []string, env ...string) *process {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(home, "output"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p := &process{cmd: exec.Command(argv[0], argv[1:]...), log: log.Name(), done: make(chan struct{})}
	p.cmd.Dir = home
	p.cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C", "HOME=" + home}, env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if asUser != "" {
		p.cmd.SysProcAttr.Credential = credential(t, asUser)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("%s: %s", filepath.Base(argv[0]), tail(text(p.log)))
		}
	})
	return p
}

// pid is the id of the first process of the group, and of the group.
func (p *process) pid() int { return p.cmd.Process.Pid }

// ended tells whether the first process of the group has ended.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stop ends the group: gently, then not. It returns when nothing is left of it.
func (p *process) stop() {
	group := -p.pid()
	syscall.Kill(group, syscall.SIGTERM)
	deadline := time.After(5 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for syscall.Kill(group, 0) == nil {
		select {
		case <-tick.C:
		case <-deadline:
			syscall.Kill(group, syscall.SIGKILL)
			deadline = nil
		}
	}
	<-p.done
}

// tail is the end of a log.
func tail(s string) string {
	const keep = 6000
	if len(s) > keep {
		s = "..." + s[len(s)-keep:]
	}
	return strings.ToValidUTF8(s, "?")
}

// kill is the command that a service manager would run to send a signal.
func kill(signal string, p *process) string { return fmt.Sprintf("kill -%s %d", signal, p.pid()) }
