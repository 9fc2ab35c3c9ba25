package launch

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// program returns the path of the running program, even if its file was replaced. Without
// /proc, in a chroot, it is where it was started from.
func program() (string, error) {
	const self = "/proc/self/exe"
	if _, err := os.Lstat(self); err == nil {
		return self, nil
	}
	path, err := exec.LookPath(os.Args[0])
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

// exec gives up what the child need not have and becomes it. It works on one thread,
// which is the one that goes on.
func (s *stage) exec() error {
	runtime.LockOSThread()
	Create(s.New)
	if err := s.limits(); err != nil {
		return err
	}
	if err := unix.CloseRange(3+uint(s.Kept), ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil && err != unix.ENOSYS && err != unix.EINVAL {
		return fmt.Errorf("closing descriptors: %w", err) // before Linux 5.11 only ours are open, and close on exec
	}
	if s.Free != "" {
		return s.run()
	}
	if err := dropCapabilities(); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	for _, variable := range s.Env { // certDirs reads it
		if dirs, ok := strings.CutPrefix(variable, "SSL_CERT_DIR="); ok {
			_ = os.Setenv("SSL_CERT_DIR", dirs)
		}
	}
	files := s.Keep
	files.Read = append(files.Read, libraries(s.Path)...)
	if _, err := restrict(files, interpreter(s.Path), s.Path); err != nil {
		return err
	}
	if err := s.filter(); err != nil {
		return err
	}
	return s.run()
}

// dropCapabilities takes all capabilities from this thread, and from what it executes.
func dropCapabilities() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil && err != unix.EINVAL {
		return fmt.Errorf("clearing ambient capabilities: %w", err)
	}
	for c := uintptr(0); ; c++ { // the bounding set; only root can
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			break
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	_, _, errno := unix.RawSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none[0])), 0)
	switch {
	case errno == unix.EPERM && os.Getuid() != 0: // by a filter of the service: execve drops them, too
	case errno == unix.EPERM:
		return fmt.Errorf("dropping capabilities: %w (a systemd unit must have capset in SystemCallFilter=)", errno)
	case errno != 0:
		return fmt.Errorf("dropping capabilities: %w", errno)
	}
	return nil
}

// countsData: RLIMIT_DATA counts the memory that a process may write to, and not what the
// Go runtime only reserves.
const countsData = true

// Descriptors is where a process finds the files that it has open.
const Descriptors = "/proc/self/fd/"

// Hand returns a file, for the Files of a child, that the child opens at [Descriptors] and
// its number, to read what f holds, whatever user it has. Here it is a copy in memory that
// nobody can change.
func Hand(f *os.File) (*os.File, error) {
	if _, err := os.Stat(Descriptors); err != nil {
		return nil, fmt.Errorf("descriptors are no files here, without /proc: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, MaxHanded+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > MaxHanded:
		return nil, fmt.Errorf("%s is longer than %d bytes", f.Name(), MaxHanded)
	}
	const sealable = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(filepath.Base(f.Name()), sealable|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // before Linux 6.3
		fd, err = unix.MemfdCreate(filepath.Base(f.Name()), sealable)
	}
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	copied := os.NewFile(uintptr(fd), f.Name())
	if _, err = copied.WriteAt(text, 0); err == nil {
		err = copied.Chmod(0o444)
	}
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL)
	}
	if err != nil {
		copied.Close()
		return nil, err
	}
	return copied, nil
}
