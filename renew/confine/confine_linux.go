package confine

import (
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"github.com/landlock-lsm/go-landlock/landlock"
	"github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"

	"keypaird/renew/launch/syscalls"
)

// change is what Landlock allows below a directory that is written to.
const change landlock.AccessFSSet = syscall.AccessFSWriteFile | syscall.AccessFSTruncate | syscall.AccessFSMakeReg | syscall.AccessFSMakeDir |
	syscall.AccessFSMakeSym | syscall.AccessFSMakeSock | syscall.AccessFSRemoveFile | syscall.AccessFSRemoveDir | syscall.AccessFSRefer

// lookups are where the C library asks for users, groups and names.
var lookups = []string{"/run/nscd", "/var/run/nscd", "/run/systemd/userdb", "/run/systemd/resolve", "/var/lib/sss"}

// confine enforces as much as it can.
func (r *Rights) confine() error {
	if err := syscalls.Threads(); err != nil {
		return errors.Join(fmt.Errorf("finding the threads of this process: %w", err), r.filter())
	}
	return errors.Join(dropOtherCapabilities(), r.landlock(), r.filter())
}

// landlock denies changing other files, running programs, connecting to other unix
// sockets, and signals to other processes.
func (r *Rights) landlock() error {
	if _, err := syscall.LandlockGetABIVersion(); err != nil {
		return nil // launch.Missing says so
	}
	c := landlock.V11
	c.HandledAccessFS &^= syscall.AccessFSReadFile | syscall.AccessFSReadDir
	c.HandledAccessNet = 0
	rules := []landlock.Rule{
		landlock.PathAccess(syscall.AccessFSWriteFile, "/dev/null").IgnoreIfMissing(),
		landlock.PathAccess(change, r.Write...).IgnoreIfMissing(),
		landlock.PathAccess(syscall.AccessFSResolveUnix, slices.Concat(lookups, r.Connect, r.Write)...).IgnoreIfMissing(),
	}
	if err := c.BestEffort().Restrict(rules...); err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	return nil
}

// keptCapabilities are those of root that deployments use: to give files away, to write
// where others own the directory, and to listen on port 80.
const keptCapabilities = 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH | 1<<unix.CAP_FOWNER | 1<<unix.CAP_FSETID | 1<<unix.CAP_NET_BIND_SERVICE

// dropOtherCapabilities takes all others from all threads.
func dropOtherCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var have [2]unix.CapUserData
	if err := unix.Capget(&header, &have[0]); err != nil {
		return fmt.Errorf("reading capabilities: %w", err)
	}
	kept := [2]unix.CapUserData{}
	kept[0].Permitted = have[0].Permitted & keptCapabilities
	kept[0].Effective = have[0].Effective & keptCapabilities
	if kept == have {
		return nil
	}
	_, _, errno := psx.Syscall3(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&kept[0])), 0)
	switch {
	case errno == unix.EPERM:
		return fmt.Errorf("dropping capabilities: %w (a systemd unit must have capset in SystemCallFilter=)", errno)
	case errno != 0:
		return fmt.Errorf("dropping capabilities: %w", errno)
	}
	return nil
}

// fileCalls are those of a process that keeps files and gives them away, and asks the
// runner.
const fileCalls = "listen socketpair memfd_create fallocate flock sync_file_range sync_file_range2 arm_sync_file_range fsync fdatasync " +
	"chmod fchmod fchmodat fchmodat2 chown chown32 fchown fchown32 lchown lchown32 fchownat " +
	"link linkat symlink symlinkat rename renameat renameat2 unlink unlinkat mkdir mkdirat rmdir truncate truncate64 " +
	"utime utimes utimensat utimensat_time64 futimesat copy_file_range statfs64 fstatfs64 getsid getpgid capget " +
	"getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr"

// filter has the kernel refuse all system calls to all threads of this process but those
// of one that keeps files, and speaks to servers and to the runner.
func (r *Rights) filter() error {
	conditions := slices.Concat(syscalls.Limited(), syscalls.Internet(), syscalls.Addresses(),
		syscalls.Only("kill", 1, 0), // does it live?
		syscalls.Only("ioctl", 1, unix.TIOCGWINSZ),
		syscalls.Only("fcntl", 1, unix.F_ADD_SEALS, unix.F_GET_SEALS), syscalls.Only("fcntl64", 1, unix.F_ADD_SEALS, unix.F_GET_SEALS),
	)
	if len(r.Connect) > 0 || syscalls.Cgo {
		conditions = append(conditions, syscalls.Only("socket", 0, unix.AF_UNIX)...)
	}
	return syscalls.Load(true, []string{syscalls.Net, syscalls.Client, syscalls.Server, fileCalls}, conditions)
}
