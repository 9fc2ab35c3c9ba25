package launch

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

// The system calls of a Go program, and of the C library's start, on all architectures.
const (
	memoryCalls = "brk mmap mmap2 munmap mprotect mremap madvise mincore membarrier"
	threadCalls = "exit exit_group futex futex_time64 gettid rseq sched_getaffinity sched_yield set_robust_list " +
		"set_tid_address arch_prctl set_thread_area set_tls cacheflush restart_syscall " +
		"rt_sigaction rt_sigprocmask rt_sigreturn sigreturn sigaltstack"
	timeCalls = "clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 " +
		"gettimeofday nanosleep time timer_create timer_settime timer_settime64 timer_delete"
	fileCalls = "access faccessat faccessat2 close dup dup2 dup3 fadvise64 fadvise64_64 arm_fadvise64_64 fstat fstat64 fstatat64 " +
		"newfstatat stat stat64 lstat lstat64 statx statfs fstatfs getcwd getdents getdents64 lseek _llseek open openat openat2 " +
		"pread64 preadv read readv readlink readlinkat write writev pwrite64 ftruncate ftruncate64 fsync fdatasync pipe pipe2 umask"
	waitCalls = "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2 eventfd eventfd2 " +
		"poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64"
	selfCalls = "getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getpgrp getpid getppid getuid getuid32 " +
		"getrandom getrlimit ugetrlimit getrusage sysinfo uname"
	// execve is needed once, for the program itself. Landlock knows which file that is.
	startCalls = "execve"
	// socket has conditions, but not on 386: there Go makes all calls about sockets by
	// socketcall, and a filter cannot see its arguments.
	netCalls = "getpeername getsockname getsockopt recv recvfrom recvmmsg recvmmsg_time64 recvmsg send sendfile sendfile64 sendmmsg " +
		"sendmsg sendto socketcall splice"
	clientCalls = "bind connect setsockopt shutdown"
	serverCalls = "accept accept4"
)

// filtered returns the system calls that this kernel can filter; nil: none. Tests have older
// kernels.
var filtered = func() *arch.Info {
	info, err := arch.GetInfo("")
	if err != nil || !seccomp.Supported() {
		return nil
	}
	return info
}

// filter has the kernel refuse all other system calls (EPERM) to this thread and to what
// it executes.
func (s *stage) filter() error {
	info := filtered()
	if info == nil {
		return nil // Missing says so
	}
	known := func(name string) bool { _, ok := info.SyscallNames[name]; return ok }
	calls := strings.Join([]string{memoryCalls, threadCalls, timeCalls, fileCalls, waitCalls, selfCalls, startCalls}, " ")
	if s.Client || s.Server {
		calls += " " + netCalls
	}
	if s.Client {
		calls += " " + clientCalls
	}
	if s.Server {
		calls += " " + serverCalls
	}
	names := slices.DeleteFunc(strings.Fields(calls), func(name string) bool { return !known(name) })
	groups := []seccomp.SyscallGroup{{Action: seccomp.ActionAllow, Names: names, NamesWithCondtions: slices.DeleteFunc(s.conditional(),
		func(c seccomp.NameWithConditions) bool { return !known(c.Name) })}}
	if known("clone3") { // its flags cannot be seen: the C library then uses clone
		groups = append(groups, seccomp.SyscallGroup{Action: seccomp.ActionErrno&^0xffff | seccomp.Action(unix.ENOSYS), Names: []string{"clone3"}})
	}
	err := seccomp.LoadFilter(seccomp.Filter{Policy: seccomp.Policy{DefaultAction: seccomp.ActionErrno, Syscalls: groups}})
	if err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	return nil
}

// namespaces are the flags of clone that make new ones.
const namespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// conditional returns the system calls that are allowed with some arguments.
func (s *stage) conditional() []seccomp.NameWithConditions {
	only := func(name string, argument uint32, values ...uint64) (list []seccomp.NameWithConditions) {
		for _, v := range values {
			list = append(list, seccomp.NameWithConditions{Name: name, Conditions: seccomp.ArgumentConditions{
				{Argument: argument, Operation: seccomp.Equal, Value: v},
			}})
		}
		return list
	}
	self := uint64(os.Getpid()) // execve keeps it
	list := slices.Concat(
		only("kill", 0, self), only("tgkill", 0, self),
		only("prlimit64", 0, 0), // its own
		only("prctl", 0, unix.PR_SET_DUMPABLE, unix.PR_GET_DUMPABLE, unix.PR_SET_NAME, unix.PR_SET_VMA, unix.PR_SET_NO_NEW_PRIVS),
		only("ioctl", 1, unix.TCGETS), // is this a terminal?
	)
	for _, name := range []string{"fcntl", "fcntl64"} { // not F_SETOWN and F_SETSIG, which send signals to others
		list = append(list, only(name, 1, unix.F_DUPFD, unix.F_DUPFD_CLOEXEC, unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_SETFL,
			unix.F_GETLK, unix.F_SETLK, unix.F_SETLKW, unix.F_OFD_GETLK, unix.F_OFD_SETLK, unix.F_OFD_SETLKW, unix.F_GETPIPE_SZ, unix.F_SETPIPE_SZ)...)
	}
	list = append(list, seccomp.NameWithConditions{Name: "clone", Conditions: seccomp.ArgumentConditions{
		{Argument: 0, Operation: seccomp.BitsSet, Value: unix.CLONE_THREAD},
		{Argument: 0, Operation: seccomp.BitsNotSet, Value: namespaces},
	}})
	if s.Server && !s.Client { // its sockets are others', too: no filter, and no end, for all who have them
		option := func(level, value uint64) seccomp.NameWithConditions {
			return seccomp.NameWithConditions{Name: "setsockopt", Conditions: seccomp.ArgumentConditions{
				{Argument: 1, Operation: seccomp.Equal, Value: level}, {Argument: 2, Operation: seccomp.Equal, Value: value},
			}}
		}
		list = append(list, option(unix.SOL_SOCKET, unix.SO_KEEPALIVE))
		for _, o := range []uint64{unix.TCP_NODELAY, unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT} {
			list = append(list, option(unix.IPPROTO_TCP, o))
		}
	}
	if s.Client {
		for _, family := range []uint64{unix.AF_INET, unix.AF_INET6} {
			list = append(list, seccomp.NameWithConditions{Name: "socket", Conditions: seccomp.ArgumentConditions{
				{Argument: 0, Operation: seccomp.Equal, Value: family},
				{Argument: 2, Operation: seccomp.LessOrEqual, Value: 255}, // no MPTCP: Landlock does not see it bind
			}})
		}
	}
	return list
}

// Means returns what a child is confined by, "" if by nothing but its user and limits.
func Means() string {
	var list []string
	if abi, err := landlockVersion(); err == nil {
		list = append(list, fmt.Sprintf("Landlock, version %d", abi))
	}
	if filtered() != nil {
		list = append(list, "seccomp")
	}
	return strings.Join(list, ", ")
}

// Missing returns what this kernel does not enforce.
func Missing() (list []string) {
	switch abi, err := landlockVersion(); {
	case err != nil:
		list = append(list, "the kernel has no Landlock: a child may use every file that its user may")
	case abi < 3:
		list = append(list, fmt.Sprintf("Landlock has version %d only, not 3: a child may truncate files that its user may write", abi))
	}
	if filtered() == nil {
		list = append(list, "there is no seccomp filter for "+runtime.GOARCH+" in this program or kernel: a child may make every system call")
	} else if runtime.GOARCH == "386" {
		list = append(list, "the seccomp filter for 386 allows all sockets: a child may listen on ports and connect to unix sockets")
	}
	return list
}
