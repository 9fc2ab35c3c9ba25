//go:build amd64 || arm64

package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A fault is what is wrong with a disk, or with the process that uses it: some
// system calls about some files fail.
type fault struct {
	calls string         // words, keys of faulty
	err   syscall.Errno  // what the system says
	files *regexp.Regexp // by their path from the world's directory; nil: whatever the call is about
}

// faulty are the system calls that can be made to fail, by a word for what they
// do. What the runtime calls without telling its scheduler when it starts a
// program, as pipe2(2), cannot be among them: nobody might be there to answer.
var faulty = map[string][]int{
	"open":    {unix.SYS_OPENAT}, // to read
	"create":  {unix.SYS_OPENAT}, // or open to write
	"read":    {unix.SYS_READ, unix.SYS_PREAD64},
	"write":   {unix.SYS_WRITE, unix.SYS_PWRITE64},
	"fsync":   {unix.SYS_FSYNC},
	"mkdir":   {unix.SYS_MKDIRAT},
	"rename":  {unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2},
	"symlink": {unix.SYS_SYMLINKAT},
	"remove":  {unix.SYS_UNLINKAT},
	"look":    {unix.SYS_READLINKAT, unix.SYS_NEWFSTATAT},
	"list":    {unix.SYS_GETDENTS64},
	"lock":    {unix.SYS_FLOCK},
	"give":    {unix.SYS_FCHOWN, unix.SYS_FCHMOD},
	"socket":  {unix.SYS_SOCKET},
	"accept":  {unix.SYS_ACCEPT4},
}

// A saboteur runs one program and has its system calls fail. It is the listener
// of a seccomp(2) filter: each call in faulty is put to it before it is made, so
// that faults come and go while the program runs. Children of the program are
// left alone.
type saboteur struct {
	cmd      *exec.Cmd
	dir      string // of the world
	listener int
	started  chan struct{} // closed when cmd has been started
	quit     *os.File      // closed when it has ended
	serving  sync.WaitGroup

	mu    sync.Mutex
	fault fault
	hits  int

	engine int // 0: not known
}

// sabotage starts a program. Its end has to be waited for with wait. Other calls
// than those of calls will not fail; without any, all may.
func sabotage(t *testing.T, dir string, cmd *exec.Cmd, f fault, calls ...string) *saboteur {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("to look into another process needs root")
	}
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	r, quit, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := &saboteur{cmd: cmd, dir: dir, started: make(chan struct{}), quit: quit, fault: f}
	go func() {
		defer close(s.started)
		runtime.LockOSThread() // for good: the filter is the thread's, and ends with it
		if s.listener, err = listenFor(calls); err == nil {
			s.serving.Go(func() { s.serve(r) })
			err = cmd.Start()
		}
	}()
	if <-s.started; err != nil {
		t.Fatal(err)
	}
	return s
}

// wait waits for the end of the program.
func (s *saboteur) wait() error {
	err := s.cmd.Wait()
	s.quit.Close()
	s.serving.Wait()
	return err
}

// set has other calls fail from now on, and returns how many have failed since
// the last time.
func (s *saboteur) set(f fault) (hits int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hits, s.fault, s.hits = s.hits, f, 0
	return hits
}

// count is how many calls have failed since then.
func (s *saboteur) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hits
}

// listenFor has calls of this thread, and of all that it starts, put to whoever
// listens at the descriptor returned.
func listenFor(calls []string) (int, error) {
	if len(calls) == 0 {
		calls = slices.Collect(maps.Keys(faulty))
	}
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}} // the number of the call
	var numbers []int
	for _, call := range calls {
		numbers = append(numbers, faulty[call]...)
	}
	for i, nr := range numbers {
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(nr), Jt: uint8(len(numbers) - i)})
	}
	filter = append(filter,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return -1, fmt.Errorf("listening for system calls: %w", errno)
	}
	return int(fd), nil
}

// A plea is struct seccomp_notif, a ruling struct seccomp_notif_resp, of
// seccomp_unotify(2).
type plea struct {
	id     uint64
	thread uint32
	_      uint32
	nr     int32
	_      uint32
	_      uint64
	args   [6]uint64
}

type ruling struct {
	id    uint64
	val   int64
	errno int32
	flags uint32
}

// serve answers until quit is closed.
func (s *saboteur) serve(quit *os.File) {
	defer unix.Close(s.listener)
	defer quit.Close()
	for {
		fds := []unix.PollFd{{Fd: int32(s.listener), Events: unix.POLLIN}, {Fd: int32(quit.Fd())}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, syscall.EINTR) || fds[1].Revents != 0 {
			return
		}
		var n plea
		if fds[0].Revents&unix.POLLIN == 0 {
			continue
		}
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s.listener), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&n))); errno != 0 {
			continue // the call was interrupted, and will be made again
		}
		select {
		case <-s.started:
			s.answer(n)
		default:
			s.serving.Go(func() { s.answer(n) })
		}
	}
}

// answer lets a call be made, or fail.
func (s *saboteur) answer(n plea) {
	v := ruling{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	if errno := s.judge(n); errno != 0 {
		v.flags, v.errno = 0, -int32(errno)
	}
	unix.Syscall(unix.SYS_IOCTL, uintptr(s.listener), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&v)))
}

// judge says how a call is to fail; 0: not at all.
func (s *saboteur) judge(n plea) syscall.Errno {
	select {
	case <-s.started:
	default:
		if isThread(os.Getpid(), n.thread) { // the one that starts it
			return 0
		}
		<-s.started
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.fault
	if !f.means(n) || !isThread(s.target(f), n.thread) {
		return 0
	}
	if f.files != nil {
		path, err := filepath.Rel(s.dir, n.path())
		if err != nil || !f.files.MatchString(path) {
			return 0
		}
		_, err = os.Lstat(filepath.Join(s.dir, path))
		if makes := n.nr == unix.SYS_MKDIRAT || n.nr == unix.SYS_OPENAT && f.err == syscall.ENOSPC; makes && err == nil {
			return 0 // the system looks first whether it is there
		}
	}
	s.hits++
	return f.err
}

// target is the process that is to fail: of a daemon, the engine, or the listener, which
// alone accepts connections. mu must be held.
func (s *saboteur) target(f fault) int {
	if f.calls == "accept" {
		return listenerOf(s.cmd.Process.Pid)
	}
	if s.engine == 0 {
		s.engine = engineOf(s.cmd.Process.Pid)
	}
	return cmp.Or(s.engine, s.cmd.Process.Pid)
}

func isThread(process int, thread uint32) bool {
	_, err := os.Stat(fmt.Sprintf("/proc/%d/task/%d", process, thread))
	return err == nil
}

// means reports whether the fault is one of such calls.
func (f fault) means(n plea) bool {
	for _, word := range bytes.Fields([]byte(f.calls)) {
		if !slices.Contains(faulty[string(word)], int(n.nr)) {
			continue
		}
		writes := n.nr == unix.SYS_OPENAT && n.args[2]&(unix.O_ACCMODE|unix.O_CREAT) != unix.O_RDONLY
		if string(word) == "create" == writes {
			return true
		}
	}
	return false
}

// path is that of the file that a call is about; of a renaming, the new one.
func (n plea) path() string {
	switch n.nr {
	case unix.SYS_OPENAT, unix.SYS_MKDIRAT, unix.SYS_UNLINKAT, unix.SYS_READLINKAT, unix.SYS_NEWFSTATAT:
		return n.below(n.args[0], n.args[1])
	case unix.SYS_SYMLINKAT:
		return n.below(n.args[1], n.args[2])
	case unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2:
		return n.below(n.args[2], n.args[3])
	}
	return n.link(n.args[0])
}

// link is the path of an open file.
func (n plea) link(fd uint64) string {
	name := fmt.Sprintf("/proc/%d/fd/%d", n.thread, int32(fd))
	if int32(fd) == unix.AT_FDCWD {
		name = fmt.Sprintf("/proc/%d/cwd", n.thread)
	}
	path, _ := os.Readlink(name)
	return path
}

// below is the path at an address, from an open directory.
func (n plea) below(dir, address uint64) string {
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", n.thread))
	if err != nil {
		return ""
	}
	defer memory.Close()
	text := make([]byte, unix.PathMax)
	got, _ := memory.ReadAt(text, int64(address)) // up to the end of what is mapped
	path, _, _ := bytes.Cut(text[:got], []byte{0})
	if filepath.IsAbs(string(path)) {
		return filepath.Clean(string(path))
	}
	return filepath.Join(n.link(dir), string(path))
}
