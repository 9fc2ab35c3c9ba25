package responder

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/coreos/go-systemd/v22/activation"

	"keypaird/renew/problem"
	"keypaird/renew/sockets"
)

// ErrNoSocket is in the error of Listen for a socket that was not passed.
var ErrNoSocket = errors.New("the service manager passed no socket of that name")

// passedFiles returns the sockets that the service manager has passed to this
// process (sd_listen_fds(3)). They are kept until it ends: each pass closes its copy,
// and the next one needs another.
var passedFiles = sync.OnceValue(func() []*os.File { return activation.Files(true) })

// Guard keeps the sockets of the service manager from the commands and children
// that this process starts. Listen does so too, but may be called too late.
func Guard() { passedFiles() }

// Unused returns the names of the sockets that the service manager has passed and that
// no address uses. Clients can connect to them, and are never answered.
func Unused(addrs ...string) []string {
	var names []string
	for _, f := range passedFiles() {
		if name := f.Name(); !slices.Contains(addrs, "fd:"+name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Passed returns the sockets, each under its name.
func Passed() []*os.File { return passedFiles() }

// inherited returns copies of the sockets passed under name.
func inherited(name string) ([]net.Listener, error) {
	var ls []net.Listener
	var given []string
	for _, f := range passedFiles() {
		given = append(given, f.Name())
		if f.Name() != name {
			continue
		}
		l, err := sockets.Inherited(f)
		if err != nil {
			closeAll(ls)
			return nil, fmt.Errorf("using the socket %q of the service manager: %w", name, err)
		}
		ls = append(ls, l)
	}
	if len(ls) == 0 {
		remedy := fmt.Sprintf("start keypaird through a socket unit with FileDescriptorName=%s, or set listen to an address", name)
		return nil, problem.Newf(remedy, "listening on fd:%s: %w (LISTEN_FDNAMES=%q)", name, ErrNoSocket, strings.Join(given, ":"))
	}
	return ls, nil
}
