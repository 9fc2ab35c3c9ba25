package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/netutil"

	"keypaird/acme/http01"
	"keypaird/renew/status"
)

// A page is where the daemon shows how targets stand.
type page struct {
	addr   string // as in [status]
	ls     []net.Listener
	server *http.Server // nil before serve
	served sync.WaitGroup
}

// maxReaders is how many connections are had at once, on each socket.
const maxReaders = 64

// openPage listens; at "", it does not, and there is no page.
func openPage(ctx context.Context, addr string) (*page, error) {
	if addr == "" {
		return nil, nil
	}
	var ls []net.Listener
	var err error
	if file, ok := strings.CutPrefix(addr, "unix:"); ok {
		var l net.Listener
		l, err = listenUnix(ctx, file)
		ls = []net.Listener{l}
	} else {
		ls, err = http01.Listen(ctx, addr)
	}
	if err != nil {
		return nil, &PageError{Addr: addr, Err: err}
	}
	return &page{addr: addr, ls: ls}, nil
}

// serve begins to serve, if that has not begun.
func (p *page) serve(h http.Handler) {
	if p.server != nil {
		return
	}
	p.server = status.NewServer(h)
	p.server.SetKeepAlivesEnabled(false) // who idles keeps others out
	for _, l := range p.ls {
		p.served.Go(func() { _ = p.server.Serve(netutil.LimitListener(l, maxReaders)) })
	}
}

// showLate shows the status where that could not be done so far.
func (k *Daemon) showLate(ctx context.Context) {
	k.changing.Lock()
	defer k.changing.Unlock()
	if k.unshown == nil || k.offered != nil {
		return
	}
	addr := k.parts.Config.Status.Listen
	p, err := openPage(ctx, addr)
	if err != nil {
		k.log.Debug("status not shown", "err", err)
		return
	}
	k.inUse.Lock()
	k.page, k.unshown = p, nil
	k.inUse.Unlock()
	p.serve(k.show(addr))
	k.log.Info("status shown", "listen", addr)
}

// close stops listening and waits until it has.
func (p *page) close() {
	for _, l := range p.ls {
		l.Close() // if the server did not come to know of it
	}
	if p.server != nil {
		p.server.Close()
	}
	p.served.Wait()
}

// show is what a page shows.
func (k *Daemon) show(addr string) http.Handler {
	machine, _ := os.Hostname()
	return &status.Server{Collect: k.collect, Metrics: k.o.Metrics, Log: k.log, Listen: addr, Machine: machine}
}

func (k *Daemon) collect() (status.Document, error) {
	k.inUse.RLock()
	defer k.inUse.RUnlock()
	doc, err := status.CollectWith(k.records.LoadState, k.parts.Store, k.parts.Current(nil), time.Now())
	k.mu.Lock()
	defer k.mu.Unlock()
	doc.Refused = k.refusal
	return doc, err
}

// listenUnix listens at a path that only we can use. What a process that died
// left there is taken away.
func listenUnix(ctx context.Context, file string) (net.Listener, error) {
	info, err := os.Lstat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, errNoSocketFile
	default:
		if err := removeStale(ctx, file); err != nil {
			return nil, err
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", file) // by our umask, nobody else can use it
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(file, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

var errNoSocketFile = errors.New("a file is there that is no socket")

// removeStale removes a socket that nobody listens at.
func removeStale(ctx context.Context, file string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", file)
	switch {
	case err == nil:
		conn.Close()
		return syscall.EADDRINUSE
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(file)
	}
	return err
}

// A PageError reports that the status cannot be shown where the configuration
// says.
type PageError struct {
	Addr string
	Err  error
	Own  bool // it is the page of before that is in the way
}

func (e *PageError) Error() string {
	why := e.Err.Error()
	var op *net.OpError
	if errors.As(e.Err, &op) {
		why = op.Err.Error()
	}
	why = strings.TrimPrefix(why, "listening on "+e.Addr+": ")
	return fmt.Sprintf("showing the status at %s: %s", e.Addr, why)
}

func (e *PageError) Unwrap() error { return e.Err }

// Remedy says what the operator can do about it.
func (e *PageError) Remedy() string {
	switch {
	case e.Own:
		return "this daemon's own page still has the port: choose another port, or restart keypaird"
	case errors.Is(e.Err, http01.ErrNoSocket):
		return "start keypaird through a socket unit with FileDescriptorName=" + strings.TrimPrefix(e.Addr, "fd:") + ", or set [status] listen to an address"
	case errors.Is(e.Err, syscall.EADDRINUSE):
		return "stop the program that listens there (see which: fstat, sockstat or ss -ltnxp), or choose another place in [status] listen"
	case errors.Is(e.Err, errNoSocketFile):
		return "remove the file, or choose another place in [status] listen"
	case errors.Is(e.Err, fs.ErrNotExist):
		return "make the directory, for keypaird to write in, or choose another place in [status] listen"
	}
	return `choose another place in [status] listen: "127.0.0.1:8403"`
}
