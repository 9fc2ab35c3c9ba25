package launch

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"runtime"
	"syscall"
)

// DNSUser is the user of keypaird-dns, unless the account names another. Tests name one
// that every machine has.
var DNSUser = "_keypaird-dns"

// Users that packages make. No child of a keypaird that is root has its user, or root.
const (
	netUser = "_keypaird-net" // of the children that hear everybody and hold nothing
	nobody  = "nobody"
)

// ErrNoUser is in the error of [NetUser].
var ErrNoUser = errors.New("there is neither a user " + netUser + " nor nobody: make one, as root: " + MakeUser(netUser))

// NetUser returns the user of children that hold nothing: _keypaird-net, or nobody
// where there is none. It is empty if this process is not root, and cannot choose.
func NetUser() (string, error) {
	if os.Geteuid() != 0 {
		return "", nil
	}
	for _, name := range []string{netUser, nobody} {
		if _, err := user.Lookup(name); err == nil {
			return name, nil
		}
	}
	return "", ErrNoUser
}

// MakeUser returns the line that makes a user of this system for a child.
func MakeUser(name string) string {
	switch runtime.GOOS {
	case "openbsd":
		return "useradd -d /var/empty -s /sbin/nologin -L daemon " + name
	case "netbsd":
		return "useradd -d /nonexistent -s /sbin/nologin " + name
	case "freebsd":
		return "pw useradd " + name + " -d /nonexistent -s /usr/sbin/nologin"
	case "darwin":
		return "sysadminctl -addUser " + name + " -roleAccount -UID 270 -shell /usr/bin/false"
	}
	return "useradd --system --user-group --home-dir /nonexistent --shell /usr/sbin/nologin " + name
}

// BecomeOwner makes this process, if it is root, the user that owns a directory, for
// good: what that user may read can be shown to root, and nothing in it is trusted more.
func BecomeOwner(dir string) error {
	info, err := os.Stat(dir)
	if err != nil || os.Geteuid() != 0 {
		return nil // the reader reports the error
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Uid == 0 {
		return nil
	}
	err = syscall.Setgroups(nil)
	if err == nil {
		err = syscall.Setgid(int(st.Gid))
	}
	if err == nil {
		err = syscall.Setuid(int(st.Uid))
	}
	if err != nil {
		return fmt.Errorf("becoming user %d, who owns %s: %w", st.Uid, dir, err)
	}
	return nil
}
