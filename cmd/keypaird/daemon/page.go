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

// A page serves the status of all targets.
type page struct {
	addr   string // as in [status]
	ls     []net.Listener
	server *http.Server // nil before serve
	served sync.WaitGroup
}

// maxReaders is the number of connections at a time, for each socket.
const maxReaders = 64

// openPage listens on addr. There is no page if it is "".
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

// serve starts to serve h, unless the page is served already.
func (p *page) serve(h http.Handler) {
	if p.server != nil {
		return
	}
	p.server = status.NewServer(h)
	p.server.SetKeepAlivesEnabled(false) // an idle connection would keep other clients out
	for _, l := range p.ls {
		p.served.Go(func() { _ = p.server.Serve(netutil.LimitListener(l, maxReaders)) })
	}
}

// retryPage opens the status page if that failed so far.
func (d *Daemon) retryPage(ctx context.Context) {
	d.pendingMu.Lock()
	defer d.pendingMu.Unlock()
	if d.current.pageErr == nil || d.pending != nil {
		return
	}
	addr := d.current.engine.Config.Status.Listen
	p, err := openPage(ctx, addr)
	if err != nil {
		d.log.Debug("status not shown", "err", err)
		return
	}
	d.current.page, d.current.pageErr = p, nil
	p.serve(d.pageHandler(addr))
	d.log.Info("status shown", "listen", addr)
}

// close stops listening and waits for the server to end.
func (p *page) close() {
	for _, l := range p.ls {
		l.Close() // the server may not know it yet
	}
	if p.server != nil {
		p.server.Close()
	}
	p.served.Wait()
}

// pageHandler returns what a page serves.
func (d *Daemon) pageHandler(addr string) http.Handler {
	machine, _ := os.Hostname()
	return &status.Server{Collect: d.collect, Metrics: d.options.Metrics, Log: d.log, Listen: addr, Machine: machine}
}

func (d *Daemon) collect() (status.Document, error) {
	d.currentMu.RLock()
	defer d.currentMu.RUnlock()
	doc, err := status.CollectWith(d.records.LoadState, d.current.engine.Store, d.current.engine.Current(nil), time.Now())
	d.mu.Lock()
	defer d.mu.Unlock()
	doc.Refused = d.refusal
	return doc, err
}

// listenUnix listens on a socket that only our user can open. It replaces a socket
// that no process listens on any more.
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
	l, err := lc.Listen(ctx, "unix", file) // closed to others by our umask
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(file, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

var errNoSocketFile = errors.New("a file that is not a socket is in the way")

// removeStale removes a socket that no process listens on.
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

// A PageError reports that the status cannot be shown at the configured address.
type PageError struct {
	Addr string
	Err  error
	Own  bool // the page of this daemon uses the port
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
	var none *http01.NoSocketError
	switch {
	case e.Own:
		return "this daemon's own page still has the port: choose another port, or restart keypaird"
	case errors.As(e.Err, &none):
		return "start keypaird through a socket unit with FileDescriptorName=" + none.Name + ", or set [status] listen to an address"
	case errors.Is(e.Err, syscall.EADDRINUSE):
		return "stop the program that listens there (see which: fstat, sockstat or ss -ltnxp), or set [status] listen to another address"
	case errors.Is(e.Err, errNoSocketFile):
		return "remove the file, or set [status] listen to another path"
	case errors.Is(e.Err, fs.ErrNotExist):
		return "create the directory, writable for keypaird, or set [status] listen to another path"
	}
	return `set [status] listen to another address, such as "127.0.0.1:8403"`
}
