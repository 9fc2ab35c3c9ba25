package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"keypaird/renew/testutil"
)

// ownNamespaces starts cmd with a network, mounts and process ids of its own:
// ports 53, 80 and 443 are its own, and all that it leaves running ends with it.
func ownNamespaces(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
}

// whyNotOwn says why there can be no namespaces, or "".
var whyNotOwn = sync.OnceValue(func() string {
	if os.Geteuid() != 0 {
		return "a network and mounts of its own need root"
	}
	cmd := exec.Command("/bin/true")
	ownNamespaces(cmd)
	if err := cmd.Run(); err != nil {
		return fmt.Sprintf("a network and mounts of its own cannot be had here: %v", err)
	}
	return ""
})

// setupNamespaces prepares the namespaces that this process was started in: a loopback
// network, and what is mounted from now on is nobody else's.
func setupNamespaces() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	conf, err := os.CreateTemp("", "keypaird-test-resolv.conf-")
	if err != nil {
		return err
	}
	defer os.Remove(conf.Name()) // the mount stays
	_, err = conf.WriteString("nameserver 127.0.0.1\n")
	if err := errors.Join(err, conf.Chmod(0o644), conf.Close()); err != nil {
		return err
	}
	if err := unix.Mount(conf.Name(), "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mounting /etc/resolv.conf: %w", err)
	}
	return testutil.StartLoopback()
}

// mountSmall makes dir a disk of so many bytes.
func mountSmall(dir, size string) error {
	return unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+size)
}

// mountReadOnly makes dir unwritable even for root.
func mountReadOnly(dir string) error {
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	return unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
}

// mountCopy lets us write to dir, which stays as it is for everybody else.
func mountCopy(dir, scratch string) error {
	upper, work := filepath.Join(scratch, "upper"), filepath.Join(scratch, "work")
	if err := os.MkdirAll(scratch, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", scratch, "tmpfs", 0, "mode=0755"); err != nil {
		return err
	}
	if err := errors.Join(os.Mkdir(upper, 0o755), os.Mkdir(work, 0o755)); err != nil {
		return err
	}
	return unix.Mount("overlay", dir, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", dir, upper, work))
}

func unmount(dir string) error { return unix.Unmount(dir, 0) }
