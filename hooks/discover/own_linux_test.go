package discover

import (
	"errors"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownNetwork starts cmd with a network of its own: ports 53, 443 and 8448 are
// its own, on every address of 127.0.0.0/8.
func ownNetwork(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
}

// mortal has cmd end with us.
func mortal(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// whyNotOwn says why there can be no network of our own, or "".
var whyNotOwn = sync.OnceValue(func() string {
	if os.Geteuid() != 0 {
		return "a network of its own needs root"
	}
	cmd := exec.Command("/bin/true")
	ownNetwork(cmd)
	if err := cmd.Run(); err != nil {
		return "a network of its own cannot be had here: " + err.Error()
	}
	return ""
})

// furnish starts the loopback interface.
func furnish() (err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}
