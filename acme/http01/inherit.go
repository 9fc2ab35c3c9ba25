package http01

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// firstSocket is the first descriptor a service manager passes (sd_listen_fds(3)).
const firstSocket = 3

// inherited returns copies of the sockets passed under name. The originals stay
// open, for the next pass; they are never wrapped in an os.File, which the
// garbage collector would close.
func inherited(name string) ([]net.Listener, error) {
	Guard()
	var ls []net.Listener
	for i, n := range passed() {
		if n != name {
			continue
		}
		l, err := listenerOf(firstSocket+i, name)
		if err != nil {
			closeAll(ls)
			return nil, fmt.Errorf("using the socket %q of the service manager: %w", name, err)
		}
		ls = append(ls, l)
	}
	if len(ls) == 0 {
		return nil, &NoSocketError{Name: name, Given: strings.Join(passed(), ":")}
	}
	return ls, nil
}

// Guard keeps the sockets of the service manager from the commands and children
// that this process starts.
func Guard() {
	for i := range passed() {
		unix.CloseOnExec(firstSocket + i)
	}
}

// passed lists the names of the sockets that were passed to this process.
func passed() []string {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil
	}
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || n <= 0 || n > maxSockets {
		return nil
	}
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for len(names) < n {
		names = append(names, "unknown")
	}
	return names[:n]
}

const maxSockets = 1024

func listenerOf(fd int, name string) (net.Listener, error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(dup), name)
	defer f.Close() // the listener has a copy of its own
	return net.FileListener(f)
}

// A NoSocketError reports that the service manager passed no such socket.
type NoSocketError struct{ Name, Given string }

func (e *NoSocketError) Error() string {
	return fmt.Sprintf("listening on fd:%s: the service manager passed no socket of that name (LISTEN_FDNAMES=%q)", e.Name, e.Given)
}

// Remedy says what the operator can do about it.
func (e *NoSocketError) Remedy() string {
	return fmt.Sprintf("start keypaird through a socket unit with FileDescriptorName=%s, or set [http-01] listen to an address", e.Name)
}
