package listener

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"keypaird/renew/launch"
	"keypaird/renew/process"
	"keypaird/renew/testutil"
)

// call returns an operation that makes one system call.
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

// bytesOf returns the address of a string that lives on.
func bytesOf(text string) uintptr {
	p, err := unix.BytePtrFromString(text)
	if err != nil {
		panic(err)
	}
	pinned = append(pinned, p)
	return uintptr(unsafe.Pointer(p))
}

var pinned []*byte

func read(path string) func() error {
	return func() error { _, err := os.ReadFile(path); return err }
}

func dial(network, addr string) func() error {
	return func() error {
		c, err := net.DialTimeout(network, addr, time.Second)
		if err == nil {
			c.Close()
		}
		return err
	}
}

func listen(network, addr string) func() error {
	return func() error {
		l, err := net.Listen(network, addr)
		if err == nil {
			l.Close()
		}
		return err
	}
}

// filter drops all packets at a socket.
func filter(fd int) error {
	drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop[0]})
}

// may is what a listener can do with what it has, each with the reason.
var may = map[string]string{
	"accept a connection":          "it is the listener",
	"answer on its channel":        "keypaird reads tokens, server names and names of pages there, and nothing else",
	"pass descriptors to keypaird": "the kernel closes them: keypaird receives none",
	"close its sockets":            "keypaird has them, too",
	"make a pipe":                  "of its own",
	"signal itself":                "it is started again",
}

// attempts are what a listener that was taken over may try, by name. Descriptor 3 is its
// channel and 4 a socket of keypaird's.
func attempts(dir, port, stranger string) map[string]func() error {
	parent, self := uintptr(os.Getppid()), uintptr(os.Getpid())
	in := func(name string) string { return filepath.Join(dir, name) }
	proc := func(name string) string { return fmt.Sprintf("/proc/%d/%s", parent, name) }
	buffer := make([]uint64, 64)
	at := uintptr(unsafe.Pointer(&buffer[0]))
	return map[string]func() error{
		"accept a connection":          func() error { fd, _, err := unix.Accept(4); _ = unix.Close(fd); return err },
		"answer on its channel":        func() error { _, err := unix.Write(3, []byte("x")); return err },
		"pass descriptors to keypaird": func() error { return unix.Sendmsg(3, []byte("x"), unix.UnixRights(0), nil, 0) },
		"close its sockets":            func() error { fd, err := unix.Dup(4); _ = unix.Close(fd); return err },
		"make a pipe":                  func() error { var p [2]int; return unix.Pipe(p[:]) },
		"signal itself":                func() error { return unix.Kill(int(self), 0) },

		// Files: keys, configuration, tokens, anything.
		"read an account key":        read(in("account.pem")),
		"read a certificate's key":   read(in("privkey.pem")),
		"read the configuration":     read(in("keypaird.toml")),
		"read a token":               read(in("token")),
		"read /etc/passwd":           read("/etc/passwd"),
		"read /etc/shadow":           read("/etc/shadow"),
		"read /etc/resolv.conf":      read("/etc/resolv.conf"),
		"read its own memory's map":  read("/proc/self/maps"),
		"list the state":             func() error { _, err := os.ReadDir(dir); return err },
		"list /proc":                 func() error { _, err := os.ReadDir("/proc"); return err },
		"list /etc/ssl/certs":        func() error { _, err := os.ReadDir("/etc/ssl/certs"); return err },
		"make a file":                func() error { return os.WriteFile(in("new"), nil, 0o600) },
		"make a file in /tmp":        func() error { return os.WriteFile("/tmp/new", nil, 0o600) },
		"write a token":              func() error { return os.WriteFile(in("token"), nil, 0o600) },
		"truncate a key":             func() error { return os.Truncate(in("privkey.pem"), 0) },
		"remove a key":               func() error { return os.Remove(in("privkey.pem")) },
		"rename a key":               func() error { return os.Rename(in("privkey.pem"), in("x")) },
		"link to a key":              func() error { return os.Link(in("privkey.pem"), in("x")) },
		"make a symbolic link":       func() error { return os.Symlink("/", in("x")) },
		"change a mode":              func() error { return os.Chmod(in("privkey.pem"), 0o4777) },
		"change an owner":            func() error { return os.Chown(in("privkey.pem"), os.Getuid(), os.Getgid()) },
		"change times":               func() error { return os.Chtimes(in("privkey.pem"), time.Now(), time.Now()) },
		"set an attribute":           func() error { return unix.Setxattr(in("privkey.pem"), "user.x", []byte("x"), 0) },
		"make a directory":           func() error { return os.Mkdir(in("newdir"), 0o700) },
		"make a pipe with a name":    func() error { return unix.Mkfifo(in("fifo"), 0o600) },
		"leave its directory's file": func() error { return os.Chdir(dir) },
		"change its root":            call(unix.SYS_CHROOT, bytesOf("/")),
		"mount":                      call(unix.SYS_MOUNT, 0, bytesOf("/"), 0, unix.MS_REMOUNT, 0),
		"open by handle":             call(unix.SYS_OPEN_BY_HANDLE_AT, ^uintptr(99), at, 0),
		"watch files":                func() error { _, err := unix.InotifyInit(); return err },
		// keypaird itself.
		"read keypaird's environment":  read(proc("environ")),
		"read keypaird's memory":       func() error { _, err := os.Open(proc("mem")); return err },
		"read keypaird's arguments":    read(proc("cmdline")),
		"list keypaird's descriptors":  func() error { _, err := os.ReadDir(proc("fd")); return err },
		"reach keypaird's root":        func() error { _, err := os.ReadDir(proc("root")); return err },
		"trace keypaird":               func() error { return syscall.PtraceAttach(int(parent)) },
		"copy keypaird's memory":       call(unix.SYS_PROCESS_VM_READV, parent, at, 0, at, 0, 0),
		"get a descriptor of keypaird": call(unix.SYS_PIDFD_GETFD, 3, 0, 0),
		"open keypaird by its number":  func() error { _, err := unix.PidfdOpen(int(parent), 0); return err },
		"signal keypaird":              func() error { return unix.Kill(int(parent), unix.SIGURG) },
		"signal its group":             func() error { return unix.Kill(0, 0) },
		"signal everybody":             func() error { return unix.Kill(-1, 0) },
		"signal a thread of keypaird":  call(unix.SYS_TGKILL, parent, parent, 0),
		"queue a signal":               call(unix.SYS_RT_SIGQUEUEINFO, parent, 0, at),
		"have the kernel signal it":    func() error { _, err := unix.FcntlInt(4, unix.F_SETOWN, int(parent)); return err },
		"have signals for input":       func() error { _, err := unix.FcntlInt(4, unix.F_SETSIG, 9); return err },
		"change keypaird's limits":     func() error { return unix.Prlimit(int(parent), unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: 3}, nil) },
		"change keypaird's priority":   func() error { return syscall.Setpriority(syscall.PRIO_PROCESS, int(parent), 19) },
		"bind keypaird to a processor": func() error { return unix.SchedSetaffinity(int(parent), new(unix.CPUSet)) },
		"raise its own limit":          func() error { return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1 << 16, Max: 1 << 16}) },
		// Programs.
		"run a program":              func() error { return exec.Command("/bin/sh", "-c", ":").Run() },
		"become a program":           func() error { return syscall.Exec("/bin/sh", []string{"sh", "-c", "exit 9"}, nil) },
		"become a file of the state": func() error { return syscall.Exec(in("program"), []string{"x"}, nil) },
		"run from a descriptor":      call(unix.SYS_EXECVEAT, 3, bytesOf(""), 0, 0, unix.AT_EMPTY_PATH),
		"make a program in memory":   func() error { _, err := unix.MemfdCreate("x", 0); return err },
		"fork":                       call(unix.SYS_CLONE, uintptr(syscall.SIGCHLD)),
		"start a session":            func() error { _, err := syscall.Setsid(); return err },
		"leave its group":            func() error { return syscall.Setpgid(0, 0) },
		// The network.
		"connect to a stranger":       dial("tcp", stranger),
		"connect to the page":         dial("tcp", port),
		"send a datagram":             dial("udp", "127.0.0.1:53"),
		"connect to a unix socket":    dial("unix", in("socket")),
		"connect to an abstract one":  dial("unix", "@"+dir),
		"connect to the bus":          dial("unix", "/run/dbus/system_bus_socket"),
		"listen":                      listen("tcp", "127.0.0.1:0"),
		"listen on a unix socket":     listen("unix", in("x.sock")),
		"listen on an abstract one":   listen("unix", "@x"+dir),
		"make a TCP socket":           call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, 0),
		"make a TCP socket on IPv6":   call(unix.SYS_SOCKET, unix.AF_INET6, unix.SOCK_STREAM, 0),
		"make a UDP socket":           call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_DGRAM, 0),
		"make an MPTCP socket":        call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP),
		"make a unix socket":          call(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM, 0),
		"make a pair of sockets":      func() error { _, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0); return err },
		"make a netlink socket":       call(unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, 0),
		"make a packet socket":        call(unix.SYS_SOCKET, unix.AF_PACKET, unix.SOCK_RAW, 0),
		"make a vsock socket":         call(unix.SYS_SOCKET, unix.AF_VSOCK, unix.SOCK_STREAM, 0),
		"make a kernel crypto socket": call(unix.SYS_SOCKET, unix.AF_ALG, unix.SOCK_SEQPACKET, 0),
		// keypaird's sockets, for good.
		"shut down keypaird's socket":  func() error { return unix.Shutdown(4, unix.SHUT_RDWR) },
		"disconnect keypaird's socket": func() error { return unix.Connect(4, &unix.SockaddrInet4{}) },
		"bind keypaird's socket":       func() error { return unix.Bind(4, &unix.SockaddrInet4{Port: 1}) },
		"shorten its queue":            func() error { return unix.Listen(4, 0) },
		"filter what arrives there":    func() error { return filter(4) },
		"mark its packets":             func() error { return unix.SetsockoptInt(4, unix.SOL_SOCKET, unix.SO_RCVBUF, 1) },
		// The kernel.
		"make a user namespace":      call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER),
		"join a namespace":           call(unix.SYS_SETNS, 3, 0),
		"load a BPF program":         call(unix.SYS_BPF, 5, at, 48),
		"count events":               call(unix.SYS_PERF_EVENT_OPEN, at, self, ^uintptr(0), ^uintptr(0), 0),
		"make an io_uring":           call(unix.SYS_IO_URING_SETUP, 1, at),
		"use a key ring":             call(unix.SYS_KEYCTL, 0, ^uintptr(2), 1),
		"add a key":                  call(unix.SYS_ADD_KEY, bytesOf("user"), bytesOf("x"), at, 1, ^uintptr(2)),
		"handle page faults":         call(unix.SYS_USERFAULTFD, 0),
		"get capabilities":           call(unix.SYS_CAPSET, at, 0),
		"become root":                call(unix.SYS_SETUID, 0),
		"change groups":              call(unix.SYS_SETGROUPS, 0, 0),
		"set the clock":              func() error { return unix.ClockSettime(unix.CLOCK_REALTIME, &unix.Timespec{Sec: 1}) },
		"share memory":               call(unix.SYS_SHMGET, 1, 4096, 0o1600),
		"make a message queue":       call(unix.SYS_MSGGET, 1, 0o1600),
		"read the kernel's log":      call(unix.SYS_SYSLOG, 3, at, 8),
		"push input into a terminal": call(unix.SYS_IOCTL, 0, unix.TIOCSTI, at),
		"be traced by others":        call(unix.SYS_PRCTL, unix.PR_SET_PTRACER, ^uintptr(0)),
	}
}

// attack tries everything and prints what succeeded, and what it found itself to have.
func attack(args []string) error {
	for fd := 5; fd < 64; fd++ { // the runtime's close on exec
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			fmt.Println("has descriptor", fd)
		}
	}
	if n := len(os.Environ()); n > 0 {
		fmt.Println("has variables", os.Environ())
	}
	for name, try := range attempts(args[0], args[1], args[2]) {
		if try() == nil {
			fmt.Println("can", name)
		}
	}
	var core unix.Rlimit
	if _ = unix.Getrlimit(unix.RLIMIT_CORE, &core); core.Max != 0 {
		fmt.Println("has core dumps")
	}
	fmt.Println("uid", os.Getuid())
	return nil
}

// A listener that was taken over can do what may says, with what it has, and no more.
func TestAttacks(t *testing.T) {
	if missing := launch.Missing(); len(missing) > 0 {
		testutil.Missing(t, "this kernel does not enforce everything: %v", missing)
	}
	dir, err := os.MkdirTemp("", "listener") // that others reach: permissions deny nothing
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o777))
	for _, name := range []string{"account.pem", "privkey.pem", "keypaird.toml", "token", "program"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o600))
		must(t, os.Chmod(filepath.Join(dir, name), 0o777))
	}
	for _, name := range []string{filepath.Join(dir, "socket"), "@" + dir} {
		l, err := net.Listen("unix", name)
		must(t, err)
		defer l.Close()
	}
	must(t, os.Chmod(filepath.Join(dir, "socket"), 0o777))
	users := []string{""}
	if os.Geteuid() == 0 {
		user, err := launch.NetUser()
		must(t, err)
		users = append(users, user)
	}
	for _, user := range users {
		t.Run("user "+user, func(t *testing.T) {
			ours, theirs, err := process.SocketPair()
			must(t, err)
			defer ours.Close()
			defer theirs.Close()
			l := socket(t)
			shared, err := l.(*net.TCPListener).File()
			must(t, err)
			defer shared.Close()
			client, err := net.Dial("tcp", l.Addr().String())
			must(t, err)
			defer client.Close()
			spec, err := confined(theirs)
			must(t, err)
			spec.User, spec.Args = user, []string{"attack", dir, l.Addr().String(), socket(t).Addr().String()}
			spec.Files = append(spec.Files, shared)
			cmd, err := launch.Command(t.Context(), spec)
			must(t, err)
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v\n%s", err, &out)
			}
			var want []string
			for name := range maps.Keys(may) {
				want = append(want, "can "+name)
			}
			uid := os.Getuid()
			if user != "" {
				uid = -1
			}
			got := strings.Split(strings.TrimSpace(out.String()), "\n")
			slices.Sort(want)
			slices.Sort(got)
			if last := got[len(got)-1]; user == "" && last != fmt.Sprint("uid ", uid) || user != "" && last == "uid 0" {
				t.Errorf("%s, want user %q", last, user)
			}
			if got := got[:len(got)-1]; !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}
