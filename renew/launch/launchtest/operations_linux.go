package launchtest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keypaird/renew/testutil"
)

// A World is what a child finds: a directory of keypaird's, in which every user may do
// everything by its permissions, and the address of a server.
type World struct{ Dir, Server string }

// SetUp makes a world.
func SetUp(t *testing.T) World {
	dir, err := os.MkdirTemp("", "keypaird-world-")
	testutil.Must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, name := range []string{"privkey.pem", "keypaird.toml", "old"} {
		testutil.Must(t, os.WriteFile(filepath.Join(dir, name), []byte("secret"), 0o600))
		testutil.Must(t, os.Chmod(filepath.Join(dir, name), 0o666))
	}
	testutil.Must(t, os.Chmod(dir, 0o777))
	control, err := net.Listen("unix", filepath.Join(dir, "haproxy.sock"))
	testutil.Must(t, err)
	t.Cleanup(func() { control.Close() })
	testutil.Must(t, os.Chmod(filepath.Join(dir, "haproxy.sock"), 0o777))
	server, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Must(t, err)
	t.Cleanup(func() { server.Close() })
	return World{dir, server.Addr().String()}
}

// An operation is tried by a child. reason says why it is allowed; empty: it is not.
type operation struct {
	name, reason string
	do           func() error
}

func operations(w World) []operation {
	return slices.Concat(allowed(w), onFiles(w), onKeypaird(), onPrograms(), onSockets(w), onKernel())
}

func read(path string) func() error {
	return func() error { _, err := os.ReadFile(path); return err }
}

func dial(network, address string) func() error {
	return func() error {
		c, err := net.DialTimeout(network, address, 5*time.Second)
		if err == nil {
			c.Close()
		}
		return err
	}
}

func call(number uintptr, args ...uintptr) func() error {
	var a [6]uintptr
	copy(a[:], args)
	return func() error {
		if _, _, errno := unix.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
			return errno
		}
		return nil
	}
}

func allowed(w World) []operation {
	return []operation{
		{"connect to a server", "peers and well-known documents", dial("tcp", w.Server)},
		{"send a datagram", "DNS", func() error {
			c, err := net.Dial("udp", w.Server)
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.Write([]byte("x"))
			return err
		}},
		{"read /etc/resolv.conf", "resolvers", read("/etc/resolv.conf")},
		{"read /etc/hosts", "names of this machine", read("/etc/hosts")},
		{"read the variables that it has", "where CAs are", func() error { os.Environ(); return nil }},
	}
}

func onFiles(w World) []operation {
	in := func(name string) string { return filepath.Join(w.Dir, name) }
	return []operation{
		{"read a private key", "", read(in("privkey.pem"))},
		{"read the configuration", "", read(in("keypaird.toml"))},
		{"list the state", "", func() error { _, err := os.ReadDir(w.Dir); return err }},
		{"write to the state", "", func() error { return os.WriteFile(in("privkey.pem"), nil, 0o600) }},
		{"make a file", "", func() error { return os.WriteFile(in("new"), nil, 0o600) }},
		{"make a file in /tmp", "", func() error { _, err := os.CreateTemp("", "x"); return err }},
		{"remove a file", "", func() error { return os.Remove(in("old")) }},
		{"rename a file", "", func() error { return os.Rename(in("old"), in("new")) }},
		{"link a file", "", func() error { return os.Link(in("privkey.pem"), in("new")) }},
		{"change a mode", "", func() error { return os.Chmod(in("old"), 0o4777) }},
		{"change an owner", "", func() error { return os.Chown(in("old"), os.Getuid(), -1) }},
		{"read /etc/passwd", "", read("/etc/passwd")},
		{"read /etc/shadow", "", read("/etc/shadow")},
	}
}

func onKeypaird() []operation {
	parent := os.Getppid()
	of := func(name string) string { return fmt.Sprintf("/proc/%d/%s", parent, name) }
	return []operation{
		{"read keypaird's variables", "", read(of("environ"))},
		{"read keypaird's arguments", "", read(of("cmdline"))},
		{"read keypaird's memory", "", read(of("mem"))},
		{"list keypaird's descriptors", "", func() error { _, err := os.ReadDir(of("fd")); return err }},
		{"trace keypaird", "", func() error { return syscall.PtraceAttach(parent) }},
		{"signal keypaird", "", func() error { return syscall.Kill(parent, syscall.SIGURG) }},
		{"signal everybody", "", func() error { return syscall.Kill(-1, 0) }},
		{"change keypaird's limits", "", func() error {
			return unix.Prlimit(parent, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: 3}, nil)
		}},
		{"change keypaird's priority", "", func() error { return syscall.Setpriority(syscall.PRIO_PROCESS, parent, 19) }},
	}
}

func onPrograms() []operation {
	return []operation{
		{"run a program", "", func() error { return exec.Command("/bin/sh", "-c", ":").Run() }},
		{"become a program", "", func() error { return syscall.Exec("/bin/sh", []string{"sh", "-c", "exit 9"}, nil) }},
		{"make a program in memory", "", func() error { _, err := unix.MemfdCreate("x", 0); return err }},
		{"outlive keypaird in a session of its own", "", func() error { _, err := syscall.Setsid(); return err }},
		{"fork", "", call(unix.SYS_CLONE, uintptr(syscall.SIGCHLD))},
	}
}

func onSockets(w World) []operation {
	return []operation{
		{"listen", "", func() error {
			l, err := net.Listen("tcp4", "127.0.0.1:0")
			if err == nil {
				l.Close()
			}
			return err
		}},
		{"connect to a control socket", "", dial("unix", filepath.Join(w.Dir, "haproxy.sock"))},
		{"make a unix socket", "", call(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM, 0)},
		{"make a netlink socket", "", call(unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, 0)},
		{"make a packet socket", "", call(unix.SYS_SOCKET, unix.AF_PACKET, unix.SOCK_RAW, 0)},
		{"make a raw socket", "", call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)},
	}
}

func onKernel() []operation {
	return []operation{
		{"make a namespace", "", call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER)},
		{"load a BPF program", "", call(unix.SYS_BPF, 5, 0, 48)},
		{"make an io_uring", "", call(unix.SYS_IO_URING_SETUP, 1, 0)},
		{"use a key ring", "", call(unix.SYS_KEYCTL, 0, ^uintptr(2), 1)},
		{"become root", "", func() error { _, _, errno := unix.Syscall(unix.SYS_SETUID, 0, 0, 0); return errnoOrNil(errno) }},
		{"raise its limit of files", "", func() error {
			return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1 << 16, Max: 1 << 16})
		}},
	}
}

func errnoOrNil(errno syscall.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}

// Report tries everything and returns what is not as it should be, and what this process
// is: "uid 65534, groups [], variables TZ=UTC".
func Report(w World) string {
	var b strings.Builder
	for _, o := range operations(w) {
		err := o.do()
		if (err == nil) != (o.reason != "") {
			fmt.Fprintf(&b, "%s: %v\n", o.name, err)
		}
	}
	for fd := 3; fd < 64; fd++ {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			fmt.Fprintf(&b, "it has the descriptor %d\n", fd)
		}
	}
	groups, _ := os.Getgroups()
	env := os.Environ()
	slices.Sort(env)
	fmt.Fprintf(&b, "uid %d, groups %v, variables %s", os.Getuid(), groups, strings.Join(env, " "))
	return b.String()
}
