package launch

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"

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

func address(text string) uintptr { // of a string that lives on
	p, err := unix.BytePtrFromString(text)
	if err != nil {
		panic(err)
	}
	pinned = append(pinned, p)
	return uintptr(unsafe.Pointer(p))
}

var pinned []*byte

// attacks are what a child must not be able to do, by name.
func attacks(dir string) map[string]func() error {
	parent, self := uintptr(os.Getppid()), uintptr(os.Getpid())
	secret, old, program := filepath.Join(dir, "secret"), filepath.Join(dir, "old"), filepath.Join(dir, "program")
	buffer := make([]uint64, 64)
	at := uintptr(unsafe.Pointer(&buffer[0]))
	cwd := ^uintptr(99) // AT_FDCWD
	return map[string]func() error{
		"read a secret":                 read(secret),
		"read the parent's environment": read(fmt.Sprintf("/proc/%d/environ", parent)),
		"read the parent's memory":      func() error { _, err := os.Open(fmt.Sprintf("/proc/%d/mem", parent)); return err },
		"list the parent's descriptors": func() error { _, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", parent)); return err },
		"list a directory":              func() error { _, err := os.ReadDir(dir); return err },
		"make a file":                   func() error { return os.WriteFile(filepath.Join(dir, "new"), nil, 0o600) },
		"write a file":                  func() error { return os.WriteFile(old, []byte("x"), 0) },
		"truncate a file":               func() error { return os.Truncate(old, 0) },
		"empty a file it reads": func() error {
			_, err := unix.Open(filepath.Join(dir, "kept"), unix.O_RDONLY|unix.O_TRUNC|unix.O_CLOEXEC, 0)
			return err
		},
		"remove a file":        func() error { return os.Remove(old) },
		"rename a file":        func() error { return os.Rename(old, old+"2") },
		"link a file":          func() error { return os.Link(old, old+"2") },
		"make a symbolic link": func() error { return os.Symlink(old, old+"2") },
		"change a mode":        func() error { return os.Chmod(old, 0o4777) },
		"make a setuid program of its own": func() error {
			f, err := os.OpenFile(filepath.Join(dir, "own"), os.O_RDWR|os.O_CREATE, 0o700)
			if err == nil {
				err = f.Chmod(0o4755)
			}
			return err
		},
		"change a mode by descriptor": func() error {
			f, err := os.Open(program)
			if err == nil {
				err = f.Chmod(0o4777)
			}
			return err
		},
		"change a mode by fchmodat2":  call(unix.SYS_FCHMODAT2, cwd, address(old), 0o4777, 0),
		"change an owner":             func() error { return os.Chown(old, os.Getuid(), os.Getgid()) },
		"change times":                func() error { return os.Chtimes(old, time.Now(), time.Now()) },
		"set an attribute":            func() error { return unix.Setxattr(old, "user.x", []byte("x"), 0) },
		"make a device":               func() error { return unix.Mknod(filepath.Join(dir, "null"), unix.S_IFIFO|0o600, 0) },
		"make a directory":            func() error { return os.Mkdir(filepath.Join(dir, "newdir"), 0o700) },
		"run a program":               func() error { return exec.Command("/bin/sh", "-c", ":").Run() },
		"run from a descriptor":       call(unix.SYS_EXECVEAT, 0, address(""), 0, 0, unix.AT_EMPTY_PATH),
		"change what was handed over": func() error { _, err := unix.Pwrite(handed, []byte("x"), 0); return err },
		"cut what was handed over":    func() error { return unix.Ftruncate(handed, 1) },
		"open what was handed over for writing": func() error {
			_, err := unix.Open(fmt.Sprint(Descriptors, handed), unix.O_RDWR|unix.O_CLOEXEC, 0)
			return err
		},
		"make a program in memory":      func() error { _, err := unix.MemfdCreate("x", 0); return err },
		"fork":                          fork,
		"start a session":               func() error { _, err := syscall.Setsid(); return err },
		"leave its process group":       func() error { return syscall.Setpgid(0, 0) },
		"signal its parent":             func() error { return syscall.Kill(int(parent), syscall.SIGURG) },
		"signal its parent's group":     func() error { return syscall.Kill(0, 0) },
		"signal everybody":              func() error { return syscall.Kill(-1, 0) },
		"signal a thread of its parent": call(unix.SYS_TGKILL, parent, parent, 0),
		"signal by descriptor":          func() error { _, err := unix.PidfdOpen(int(parent), 0); return err },
		"queue a signal":                call(unix.SYS_RT_SIGQUEUEINFO, parent, 0, at),
		"have the kernel signal it":     func() error { _, err := unix.FcntlInt(0, unix.F_SETOWN, int(parent)); return err },
		"trace its parent":              func() error { return syscall.PtraceAttach(int(parent)) },
		"read another's memory": func() error {
			v := []unix.Iovec{{Base: (*byte)(unsafe.Pointer(&buffer[0])), Len: 8}}
			_, err := unix.ProcessVMReadv(int(parent), v, []unix.RemoteIovec{{Base: at, Len: 8}}, 0)
			return err
		},
		"change its parent's limits": func() error {
			var now unix.Rlimit // nothing changes; who may do so may lower them, too
			if err := unix.Prlimit(int(parent), unix.RLIMIT_NOFILE, nil, &now); err != nil {
				now = unix.Rlimit{Cur: 1 << 10, Max: 1 << 10}
			}
			return unix.Prlimit(int(parent), unix.RLIMIT_NOFILE, &now, nil)
		},
		"read its parent's limits":           func() error { return unix.Prlimit(int(parent), unix.RLIMIT_NOFILE, nil, new(unix.Rlimit)) },
		"change its parent's priority":       func() error { return syscall.Setpriority(syscall.PRIO_PROCESS, int(parent), 19) },
		"bind its parent to a processor":     func() error { return unix.SchedSetaffinity(int(parent), new(unix.CPUSet)) },
		"connect to a unix socket":           func() error { _, err := net.Dial("unix", filepath.Join(dir, "socket")); return err },
		"connect to an abstract socket":      func() error { _, err := net.Dial("unix", "@"+filepath.Join(dir, "socket")); return err },
		"take another's descriptor":          call(unix.SYS_PIDFD_GETFD, 0, 0, 0),
		"bind a TCP port":                    bindOnly,
		"make a unix socket":                 call(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM, 0),
		"make a pair of sockets":             func() error { _, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0); return err },
		"make a netlink socket":              call(unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, 0),
		"make a packet socket":               call(unix.SYS_SOCKET, unix.AF_PACKET, unix.SOCK_RAW, 0),
		"make a vsock socket":                call(unix.SYS_SOCKET, unix.AF_VSOCK, unix.SOCK_STREAM, 0),
		"make a kernel crypto socket":        call(unix.SYS_SOCKET, unix.AF_ALG, unix.SOCK_SEQPACKET, 0),
		"make an MPTCP socket":               call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP),
		"make a raw socket":                  call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP),
		"listen":                             bindTCP,
		"make a user namespace":              call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER),
		"join a namespace":                   call(unix.SYS_SETNS, 0, 0),
		"mount":                              call(unix.SYS_MOUNT, 0, address("/"), 0, unix.MS_REMOUNT, 0),
		"change its root":                    call(unix.SYS_CHROOT, address("/")),
		"load a BPF program":                 call(unix.SYS_BPF, 5, at, 48),
		"count events":                       call(unix.SYS_PERF_EVENT_OPEN, at, self, ^uintptr(0), ^uintptr(0), 0),
		"make an io_uring":                   call(unix.SYS_IO_URING_SETUP, 1, at),
		"use a key ring":                     call(unix.SYS_KEYCTL, 0, ^uintptr(2), 1),
		"add a key":                          call(unix.SYS_ADD_KEY, address("user"), address("x"), at, 1, ^uintptr(2)),
		"watch files":                        func() error { _, err := unix.InotifyInit(); return err },
		"watch the file system":              call(unix.SYS_FANOTIFY_INIT, 0, 0),
		"handle page faults":                 call(unix.SYS_USERFAULTFD, 0),
		"get capabilities":                   call(unix.SYS_CAPSET, at, 0),
		"become root":                        func() error { _, _, errno := unix.Syscall(unix.SYS_SETUID, 0, 0, 0); return errnoOrNil(errno) },
		"change groups":                      call(unix.SYS_SETGROUPS, 0, 0),
		"set the clock":                      func() error { return unix.ClockSettime(unix.CLOCK_REALTIME, &unix.Timespec{Sec: 1}) },
		"set the host name":                  call(unix.SYS_SETHOSTNAME, address("x"), 1),
		"share memory":                       call(unix.SYS_SHMGET, 1, 4096, 0o1600),
		"make a message queue":               call(unix.SYS_MSGGET, 1, 0o1600),
		"read the kernel's log":              call(unix.SYS_SYSLOG, 3, at, 8),
		"raise its limit of files":           func() error { return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1 << 16, Max: 1 << 16}) },
		"open by handle":                     call(unix.SYS_OPEN_BY_HANDLE_AT, cwd, at, 0),
		"push input into a terminal":         call(unix.SYS_IOCTL, 0, unix.TIOCSTI, at),
		"make its memory readable by ptrace": call(unix.SYS_PRCTL, unix.PR_SET_PTRACER, ^uintptr(0)),
	}
}

// runs are what it must not be able to become, the last attacks: one that succeeds prints
// that itself.
func runs(dir string) []struct{ name, path string } {
	return []struct{ name, path string }{
		{"run a file it reads", filepath.Join(dir, "program")},
		{"run what was handed over", fmt.Sprint(Descriptors, handed)},
		{"run a shell", "/bin/sh"},
	}
}

// handed is the descriptor of a file that the child gets.
const handed = 3

// fork starts a copy of this process, which ends at once.
func fork() error {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if pid == 0 && errno == 0 {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	return errnoOrNil(errno)
}

// bindOnly takes a TCP port, and does not listen.
func bindOnly() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
}

func errnoOrNil(errno syscall.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}

// attack tries everything and prints what succeeded, and what it found itself to be.
func attack(dir string) int {
	for _, file := range []string{filepath.Join(dir, "kept"), filepath.Join(dir, "below/deep/file"), filepath.Join(dir, "certs/ca.pem"), fmt.Sprint(Descriptors, handed)} {
		for range 2 {
			if text, err := os.ReadFile(file); err != nil || len(text) == 0 {
				fmt.Printf("cannot read %s: %d, %v\n", file, len(text), err)
			}
		}
	}
	for name, try := range attacks(dir) {
		if err := try(); err == nil {
			fmt.Printf("can %s\n", name)
		}
	}
	if err := connect(); err != nil {
		fmt.Println("cannot connect:", err)
	}
	for fd := handed + 1; fd < 64; fd++ {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			fmt.Println("inherited descriptor", fd)
		}
	}
	var files, core, data unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_DATA, &data)
	_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &files)
	_ = unix.Getrlimit(unix.RLIMIT_CORE, &core)
	if files.Max > maxFiles || core.Max != 0 || data.Max > maxData {
		fmt.Println("limits", files, core, data)
	}
	groups, _ := os.Getgroups()
	fmt.Printf("uid %d, %d groups, %d variables\n", os.Getuid(), len(groups), len(os.Environ()))
	for _, r := range runs(dir) {
		_ = syscall.Exec(r.path, []string{r.path, "-c", "echo can " + r.name}, nil)
	}
	return 0
}

// setUp makes the files of operations in a directory in which every user may do
// everything: what is denied is not denied by permissions.
func setUp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "launch")
	testutil.Must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	testutil.Must(t, os.CopyFS(dir, os.DirFS(makeFiles(t))))
	testutil.Must(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chmod(path, 0o777)
	}))
	testutil.Must(t, os.WriteFile(filepath.Join(dir, "program"), []byte("#!/bin/sh\necho can run a file it reads\n"), 0o777))
	program, err := os.ReadFile("/proc/self/exe")
	testutil.Must(t, err)
	testutil.Must(t, os.WriteFile(filepath.Join(dir, "child"), program, 0o700))
	testutil.Must(t, os.Chmod(filepath.Join(dir, "child"), 0o755))
	return dir
}

// listener returns the address of one.
func listener(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Must(t, err)
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// opens are the attacks that succeed where a kernel has a version of Landlock only, and why.
// All others fail everywhere: by seccomp, by no_new_privs, and by the modes of files, which
// here let everybody do everything.
var opens = []struct {
	below int // the version that denies it
	name  string
	why   string
}{
	{1, "read a secret", "seccomp sees no paths: what is left are the modes of files, so a user of one's own"},
	{1, "list a directory", "likewise"},
	{1, asRoot, "/proc gives them to root, by number, not what they are; no child of keypaird is root"},
	{1, "make a file", "likewise: in directories that its user may write"},
	{1, "write a file", "likewise"},
	{1, "run a file it reads", "execve is needed once, and seccomp sees no paths; without rights, in place of itself"},
	{3, "empty a file it reads", "O_TRUNC is a right of its own since version 3; only what its user may write"},
	{4, "bind a TCP port", "clients bind, too; it cannot listen there"},
}

const asRoot = "list the parent's descriptors" // succeeds for root only

// unfiltered are the attacks that may succeed on a kernel without seccomp that has all of
// Landlock; true: only if the child shares its parent's user. What they reach are sockets of
// other programs, by path, and files that its user owns; it gets no more rights.
var unfiltered = map[string]bool{
	"connect to a unix socket": false, "make a unix socket": false, "make a pair of sockets": false, "make a netlink socket": false,
	"make a vsock socket": false, "make an MPTCP socket": false, "make a kernel crypto socket": false, "make a raw socket": false,
	"fork": false, "leave its process group": false, "start a session": false, "make a program in memory": false, "make a user namespace": false,
	"have the kernel signal it": false, "signal by descriptor": false, "signal everybody": false, "signal its parent's group": false, // signals go astray: Landlock
	"add a key": false, "use a key ring": false, "watch files": false, "set an attribute": false, "share memory": false, "make a message queue": false,
	"make an io_uring": false, "handle page faults": false, "watch the file system": false, "read the kernel's log": false,
	"change a mode": true, "change a mode by descriptor": true, "change a mode by fchmodat2": true, "change an owner": true, "change times": true,
	"read its parent's limits": true, "change its parent's limits": true, "change its parent's priority": true, "bind its parent to a processor": true,
}

// expected returns the attacks that succeed with a version of Landlock.
func expected(version int, root bool) (list []string) {
	for _, o := range opens {
		if version%noSeccomp < o.below && (o.name != asRoot || root) {
			list = append(list, "can "+o.name)
		}
	}
	return list
}

// A child can do nothing of what attacks lists, from its first instruction on: the program
// of the test is linked with packages of whose init nothing is known. It has a user of its
// own, or that of a keypaird that is root, or that of one that is not.
func TestAttacks(t *testing.T) {
	version, filtered := kernel(t), len(Missing()) == 0
	if !filtered {
		t.Logf("this kernel does not enforce everything: %v", Missing())
	}
	for _, have := range []int{version, 2, 1, 0, noSeccomp + version} {
		if have%noSeccomp > version {
			continue
		}
		for _, user := range []string{"", "nobody"} {
			if user == "" && os.Geteuid() == 0 && have >= noSeccomp {
				continue // no child of keypaird is root
			}
			t.Run(fmt.Sprintf("Landlock %d, user %s", have, user), func(t *testing.T) {
				if user != "" && os.Geteuid() != 0 {
					t.Skip("only root may start programs as another user")
				}
				testAttacks(t, have, user)
			})
		}
	}
	if os.Geteuid() != 0 {
		return
	}
	t.Run("keypaird is not root", func(t *testing.T) {
		cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run", "^TestAttacks$", "-test.v")
		cmd.SysProcAttr, cmd.Dir = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}, "/"
		if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: TestAttacks/Landlock_0")) {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

// testAttacks tries all on a kernel that has that version of Landlock.
func testAttacks(t *testing.T, have int, user string) {
	testutil.Must(t, NoCoreDumps()) // as keypaird does
	defer closed(t)
	dir := setUp(t)
	for _, name := range []string{filepath.Join(dir, "socket"), "@" + filepath.Join(dir, "socket")} {
		l, err := net.Listen("unix", name)
		testutil.Must(t, err)
		defer l.Close()
	}
	testutil.Must(t, os.Chmod(filepath.Join(dir, "socket"), 0o777))
	testutil.Must(t, os.WriteFile(filepath.Join(dir, "secret"), []byte("#!/bin/sh\necho can run what was handed over\n"), 0o777))
	secret, err := os.Open(filepath.Join(dir, "secret"))
	testutil.Must(t, err)
	defer secret.Close()
	given, err := Hand(secret)
	testutil.Must(t, err)
	defer given.Close()
	cmd, err := Command(t.Context(), Child{
		Path: filepath.Join(dir, "child"), User: user, Client: true, Files: []*os.File{given},
		Env:  []string{"LAUNCH_TEST_DIR=" + dir, "CONFINE_TEST_ADDR=" + listener(t), "SSL_CERT_DIR=" + filepath.Join(dir, "certs"), stageVariable + "=x"},
		Keep: Keep{Read: []string{filepath.Join(dir, "kept"), filepath.Join(dir, "below"), filepath.Join(dir, "program")}},
	})
	testutil.Must(t, err)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	here := cmd.Here
	cmd.Here = func() (*exec.Cmd, error) {
		stage, err := here()
		if err == nil {
			stage.Env = append(stage.Env, fmt.Sprint(versionVariable, "=", have))
		}
		return stage, err
	}
	inherited, err := os.Open("/")
	testutil.Must(t, err)
	defer inherited.Close()
	cmd.Files = append(cmd.Files, inherited)
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	got := strings.Split(strings.TrimSpace(out.String()), "\n")
	uid, groups := os.Getuid(), 0
	if user != "" {
		uid = 65534
	} else if list, err := os.Getgroups(); err == nil {
		groups = len(list) // they stay with a user that stays
	}
	want := append(expected(have, uid == 0), fmt.Sprintf("uid %d, %d groups, 3 variables", uid, groups))
	if have >= noSeccomp {
		got = slices.DeleteFunc(got, func(line string) bool {
			name, can := strings.CutPrefix(line, "can ")
			shared, listed := unfiltered[name]
			return can && listed && (user == "" || !shared) || strings.HasPrefix(line, "inherited") // attacks made it
		})
		want = want[len(want)-1:]
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) && len(Missing()) == 0 {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// noSeccomp is added to the version of Landlock of a kernel without seccomp.
const noSeccomp = 100

// versionVariable has a stage find an older kernel: the version of Landlock, 0 for none.
const versionVariable = "LAUNCH_TEST_LANDLOCK"

// _ is set before the init that makes this process a stage.
var _ = func() bool {
	version, err := strconv.Atoi(os.Getenv(versionVariable))
	if err != nil {
		return false
	}
	if version >= noSeccomp {
		version -= noSeccomp
		filtered = func() bool { return false }
	}
	landlockVersion = func() (int, error) {
		if version == 0 {
			return 0, unix.ENOSYS
		}
		return version, nil
	}
	strictest = []landlock.Config{1: landlock.V1, 2: landlock.V2, 3: landlock.V3, 4: landlock.V4, 5: landlock.V5, 6: landlock.V6, 7: landlock.V7}[min(version, 7)]
	return true
}()

// kernel returns the version of Landlock that this kernel has, 0 for none.
func kernel(t *testing.T) int {
	t.Helper()
	version, err := landlockVersion()
	if err != nil {
		return 0
	}
	return version
}

// A program that is linked dynamically starts, and so does what it is: /bin/true.
func TestDynamicallyLinked(t *testing.T) {
	path, err := exec.LookPath("true")
	if err != nil || interpreter(path) == "" {
		t.Skip("no dynamically linked program is here")
	}
	path, err = filepath.EvalSymlinks(path)
	testutil.Must(t, err)
	cmd, err := Command(t.Context(), Child{Path: path})
	testutil.Must(t, err)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// What cannot be started is said in one line.
func TestNotStarted(t *testing.T) {
	cmd, err := Command(t.Context(), Child{Path: "/nonexistent"})
	testutil.Must(t, err)
	out, err := cmd.CombinedOutput()
	if want := "cannot be started confined: running /nonexistent: no such file or directory\n"; string(out) != want || cmd.ExitCode() != NotStarted {
		t.Errorf("%v: %q, want %q", err, out, want)
	}
	for _, user := range []string{"no-such-user", "root"} {
		cmd, err := Command(t.Context(), Child{Path: "/bin/true", User: user})
		testutil.Must(t, err)
		if err := cmd.Run(); os.Geteuid() == 0 && err == nil {
			t.Errorf("a child has the user %s", user)
		}
	}
}
