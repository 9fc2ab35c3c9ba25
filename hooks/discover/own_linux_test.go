package discover

import (
	"os"
	"os/exec"
	"sync"
	"syscall"
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
