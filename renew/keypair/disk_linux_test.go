package keypair

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestFullDisk adds on a small file system of its own that is full: to every
// page, then to every inode, that Add and SetLive may need.
func TestFullDisk(t *testing.T) {
	dir, chain, key := fixture(t)
	cmd := exec.Command(os.Args[0], t.TempDir(), dir, chain, key)
	cmd.Env = helperEnviron("disk")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 { // root of a name space of its own can mount, too
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	cannot := errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || strings.HasPrefix(string(out), mayNotMount)
	if cannot && (os.Getenv("CI") != "true" || os.Geteuid() != 0) { // the servers' tests, too, mount there
		t.Skipf("nothing can be mounted here (%v, %s); TestFileSizeLimit and TestEverySystemCall stand in", err, out)
	}
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

const (
	mayNotMount = "may not mount"
	pages       = 64
	inodes      = 64
)

// helpFullDisk makes a tmpfs its root directory: MOUNTPOINT DIR CHAIN KEY.
func helpFullDisk(args []string) error {
	mount := args[0]
	err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
	if err == nil {
		options := fmt.Sprintf("mode=0755,size=%d,nr_inodes=%d", pages*os.Getpagesize(), inodes)
		err = syscall.Mount("none", mount, "tmpfs", 0, options)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", mayNotMount, err)
	}
	for i, name := range []string{"/state", "/chain", "/key"} {
		if err := copyTree(args[1+i], mount+name); err != nil {
			return err
		}
	}
	if err := errors.Join(syscall.Chroot(mount), os.Chdir("/")); err != nil {
		return err
	}
	s, p, err := openFixture([]string{"/state", "/chain", "/key"})
	if err != nil {
		return err
	}
	for _, fill := range []func(free int) error{leavePages, leaveInodes} {
		failures := 0
		for free := 0; ; free++ {
			if err := fill(free); err != nil {
				return err
			}
			added, err := tryAdd(s, p, syscall.ENOSPC)
			if err != nil {
				return fmt.Errorf("%d left: %w", free, err)
			}
			if added {
				break
			}
			failures++
		}
		if failures < 5 {
			return fmt.Errorf("only %d failures", failures)
		}
		if err := os.RemoveAll("/fill"); err != nil {
			return err
		}
	}
	return nil
}

// leavePages fills the file system up to some pages.
func leavePages(free int) error {
	if err := os.RemoveAll("/fill"); err != nil {
		return err
	}
	f, err := os.Create("/fill")
	if err != nil {
		return err
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, os.Getpagesize()))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return f.Truncate(info.Size() - int64(free*os.Getpagesize()))
}

// leaveInodes fills the file system with files, then removes some.
func leaveInodes(free int) error {
	if err := errors.Join(os.RemoveAll("/fill"), os.Mkdir("/fill", 0o700)); err != nil {
		return err
	}
	for n := 0; ; n++ {
		f, err := os.Create(fmt.Sprintf("/fill/%d", n))
		if err == nil {
			f.Close()
			continue
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return err
		}
		for i := range free {
			if err := os.Remove(fmt.Sprintf("/fill/%d", n-1-i)); err != nil {
				return err
			}
		}
		return nil
	}
}
