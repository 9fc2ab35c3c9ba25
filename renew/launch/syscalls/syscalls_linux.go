package syscalls

import (
	"fmt"
	"os"
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
	// socket has conditions, but not on 386: there Go makes all calls about sockets by
	// socketcall, and a filter cannot see its arguments.
	Net = "getpeername getsockname getsockopt recv recvfrom recvmmsg recvmmsg_time64 recvmsg send sendfile sendfile64 sendmmsg " +
		"sendmsg sendto socketcall splice"
	Client = "bind connect setsockopt shutdown"
	Server = "accept accept4"
)

// A Condition allows a system call with some arguments.
type Condition = seccomp.NameWithConditions

// Supported reports whether there is a filter for this processor in program and kernel.
func Supported() bool {
	_, err := arch.GetInfo("")
	return err == nil && seccomp.Supported()
}

// Load has the kernel refuse (EPERM) all system calls but those of every program, some
// more, and some with conditions: to this thread and what it executes, or to all threads.
func Load(allThreads bool, more []string, conditions []Condition) error {
	info, err := arch.GetInfo("")
	if err != nil || !seccomp.Supported() {
		return nil // launch.Missing says so
	}
	var flag seccomp.FilterFlag
	if allThreads {
		flag = seccomp.FilterFlagTSync
	}
	known := func(name string) bool { _, ok := info.SyscallNames[name]; return ok }
	calls := strings.Join(append([]string{memoryCalls, threadCalls, timeCalls, fileCalls, waitCalls, selfCalls}, more...), " ")
	names := slices.DeleteFunc(strings.Fields(calls), func(name string) bool { return !known(name) })
	slices.Sort(names)
	conditions = slices.DeleteFunc(conditions, func(c Condition) bool { return !known(c.Name) })
	groups := []seccomp.SyscallGroup{{Action: seccomp.ActionAllow, Names: slices.Compact(names), NamesWithCondtions: conditions}}
	if known("clone3") { // its flags cannot be seen: the C library then uses clone
		groups = append(groups, seccomp.SyscallGroup{Action: seccomp.ActionErrno&^0xffff | seccomp.Action(unix.ENOSYS), Names: []string{"clone3"}})
	}
	err = seccomp.LoadFilter(seccomp.Filter{NoNewPrivs: true, Flag: flag, Policy: seccomp.Policy{DefaultAction: seccomp.ActionErrno, Syscalls: groups}})
	if err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	return nil
}

// namespaces are the flags of clone that make new ones.
const namespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// Only allows a system call if an argument has one of some values.
func Only(name string, argument uint32, values ...uint64) (list []Condition) {
	for _, v := range values {
		list = append(list, Condition{Name: name, Conditions: seccomp.ArgumentConditions{
			{Argument: argument, Operation: seccomp.Equal, Value: v},
		}})
	}
	return list
}

// Limited returns the system calls that every program may make with some arguments.
func Limited() []Condition {
	self := uint64(os.Getpid()) // execve keeps it
	list := slices.Concat(
		Only("kill", 0, self), Only("tgkill", 0, self),
		Only("prlimit64", 0, 0), // its own
		Only("prctl", 0, unix.PR_SET_DUMPABLE, unix.PR_GET_DUMPABLE, unix.PR_SET_NAME, unix.PR_SET_VMA, unix.PR_SET_NO_NEW_PRIVS),
		Only("ioctl", 1, unix.TCGETS), // is this a terminal?
	)
	for _, name := range []string{"fcntl", "fcntl64"} { // not F_SETOWN and F_SETSIG, which send signals to others
		list = append(list, Only(name, 1, unix.F_DUPFD, unix.F_DUPFD_CLOEXEC, unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_SETFL,
			unix.F_GETLK, unix.F_SETLK, unix.F_SETLKW, unix.F_OFD_GETLK, unix.F_OFD_SETLK, unix.F_OFD_SETLKW, unix.F_GETPIPE_SZ, unix.F_SETPIPE_SZ)...)
	}
	return append(list, Condition{Name: "clone", Conditions: seccomp.ArgumentConditions{
		{Argument: 0, Operation: seccomp.BitsSet, Value: unix.CLONE_THREAD},
		{Argument: 0, Operation: seccomp.BitsNotSet, Value: namespaces},
	}})
}

// Internet allows sockets of TCP and UDP.
func Internet() (list []Condition) {
	for _, family := range []uint64{unix.AF_INET, unix.AF_INET6} {
		list = append(list, Condition{Name: "socket", Conditions: seccomp.ArgumentConditions{
			{Argument: 0, Operation: seccomp.Equal, Value: family},
			{Argument: 2, Operation: seccomp.LessOrEqual, Value: 255}, // no MPTCP: Landlock does not see it bind
		}})
	}
	return list
}

// Addresses allows asking for the addresses of this machine (rtnetlink(7)).
func Addresses() []Condition {
	return []Condition{{Name: "socket", Conditions: seccomp.ArgumentConditions{
		{Argument: 0, Operation: seccomp.Equal, Value: unix.AF_NETLINK},
		{Argument: 2, Operation: seccomp.Equal, Value: unix.NETLINK_ROUTE},
	}}}
}

// ServerOptions allows the options of sockets that a server sets. Its sockets are others',
// too: no filter, and no end, for all who have them.
func ServerOptions() (list []Condition) {
	option := func(level, value uint64) {
		list = append(list, Condition{Name: "setsockopt", Conditions: seccomp.ArgumentConditions{
			{Argument: 1, Operation: seccomp.Equal, Value: level}, {Argument: 2, Operation: seccomp.Equal, Value: value},
		}})
	}
	option(unix.SOL_SOCKET, unix.SO_KEEPALIVE)
	for _, o := range []uint64{unix.TCP_NODELAY, unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT} {
		option(unix.IPPROTO_TCP, o)
	}
	return list
}
