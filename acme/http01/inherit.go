package http01

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"

	"github.com/coreos/go-systemd/v22/activation"
)

// passed are the sockets that the service manager has passed to this process
// (sd_listen_fds(3)). They are taken once, and kept to its end: a pass that is
// over closes its copy, and the next one wants another.
var passed = sync.OnceValue(func() []*os.File { return activation.Files(true) })

// Guard keeps the sockets of the service manager from the commands and children
// that this process starts. Listen does so, too, but may come late.
func Guard() { passed() }

// inherited returns copies of the sockets passed under name.
func inherited(name string) ([]net.Listener, error) {
	var ls []net.Listener
	var given []string
	for _, f := range passed() {
		given = append(given, f.Name())
		if f.Name() != name {
			continue
		}
		l, err := net.FileListener(f)
		if err != nil {
			closeAll(ls)
			return nil, fmt.Errorf("using the socket %q of the service manager: %w", name, err)
		}
		ls = append(ls, l)
	}
	if len(ls) == 0 {
		return nil, &NoSocketError{Name: name, Given: strings.Join(given, ":")}
	}
	return ls, nil
}

// A NoSocketError reports that the service manager passed no such socket.
type NoSocketError struct{ Name, Given string }

func (e *NoSocketError) Error() string {
	return fmt.Sprintf("listening on fd:%s: the service manager passed no socket of that name (LISTEN_FDNAMES=%q)", e.Name, e.Given)
}

// Remedy says what the operator can do about it.
func (e *NoSocketError) Remedy() string {
	return fmt.Sprintf("start keypaird through a socket unit with FileDescriptorName=%s, or set listen to an address", e.Name)
}
