package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"keypaird/acme/responder"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/listener"
	"keypaird/cmd/keypaird/version"
	"keypaird/renew/durable"
	"keypaird/renew/problem"
	"keypaird/renew/status"
	"keypaird/renew/unixsocket"
)

// A page serves the status of all targets.
type page struct {
	addr   string // as in [status]
	ls     []net.Listener
	names  []string  // that it is served by
	server io.Closer // nil before serve
}

// openPage listens on addr. There is no page if it is "".
func openPage(ctx context.Context, addr string) (*page, error) {
	if addr == "" {
		return nil, nil
	}
	var ls []net.Listener
	var err error
	if file, ok := strings.CutPrefix(addr, "unix:"); ok {
		var l net.Listener
		if l, err = unixsocket.Listen(ctx, file); err != nil {
			err = fmt.Errorf("listening on %s: %w", addr, err)
		}
		ls = []net.Listener{l}
	} else {
		ls, err = responder.Listen(ctx, addr)
	}
	if err != nil {
		return nil, err
	}
	return &page{addr: addr, ls: ls}, nil
}

// serve starts to serve a page, unless it is served already by its names.
func (d *Daemon) serve(p *page, cfg *config.Config) error {
	names := pageNames(cfg)
	if p.server != nil && slices.Equal(p.names, names) {
		return nil
	}
	if p.server != nil {
		p.server.Close()
		p.server = nil
	}
	machine, _ := os.Hostname()
	pages := &status.Server{Collect: d.collect, Metrics: d.metrics, Log: d.log, Machine: machine, Version: version.Program().Version}
	var err error
	p.names = names
	p.server, err = d.listener.Serve(listener.Service{Kind: listener.Page, Listen: p.addr, Names: names}, p.ls, pages.Answer)
	return err
}

// pageNames returns the names of hosts that are ours: no web page of others has them.
func pageNames(cfg *config.Config) []string {
	names := slices.Clone(cfg.Status.Names)
	if machine, err := os.Hostname(); err == nil {
		names = append(names, machine)
	}
	for _, t := range cfg.Targets() {
		for _, c := range t.Challenges {
			names = append(names, c.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
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
	if err := d.serve(p, d.current.engine.Config); err != nil {
		p.close()
		d.log.Debug("status not shown", "err", err)
		return
	}
	d.current.page, d.current.pageErr = p, nil
	d.log.Info("status shown", "listen", addr)
}

// close stops listening.
func (p *page) close() {
	if p.server != nil {
		p.server.Close()
	}
	for _, l := range p.ls {
		l.Close()
	}
}

func (d *Daemon) collect() (status.Document, error) {
	d.currentMu.RLock()
	defer d.currentMu.RUnlock()
	doc, err := status.Collect(d.current.engine.Status(d.current.engine.Targets, &d.records), time.Now())
	doc.Fleet = d.current.engine.Fleet()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rejected != nil {
		doc.Refused = d.rejected.refusal()
	}
	return doc, err
}

// pageError returns the error for a page that cannot be opened, with its remedy.
func (d *Daemon) pageError(addr string, err error) error {
	remedy := `set [status] listen to another address, such as "127.0.0.1:8403"`
	unsafe, isUnsafe := errors.AsType[*durable.UnsafeError](err)
	switch {
	case isUnsafe:
		remedy = unsafe.Remedy() + ", or set [status] listen to a path in a directory of keypaird's own"
	case errors.Is(err, responder.ErrNoSocket):
		remedy = "start keypaird through a socket unit with FileDescriptorName=" + strings.TrimPrefix(addr, "fd:") + ", or set [status] listen to an address"
	case errors.Is(err, syscall.EADDRINUSE) && d.ownsPort(addr):
		remedy = "this daemon's own page still has the port: choose another port, or restart keypaird"
	case errors.Is(err, syscall.EADDRINUSE):
		remedy = "stop the program that listens there (see which: fstat, sockstat or ss -ltnxp), or set [status] listen to another address"
	case errors.Is(err, unixsocket.ErrNotSocket):
		remedy = "remove the file, or set [status] listen to another path"
	case errors.Is(err, fs.ErrNotExist):
		remedy = "create the directory, writable for keypaird, or set [status] listen to another path"
	}
	return problem.Wrap(fmt.Errorf("status page: %w", err), remedy)
}

// ownsPort reports whether the page in use listens on the port of addr.
func (d *Daemon) ownsPort(addr string) bool {
	if d.current == nil || d.current.page == nil {
		return false
	}
	_, used, _ := net.SplitHostPort(d.current.page.addr)
	_, port, _ := net.SplitHostPort(addr)
	return port != "" && port == used
}

// pageCanWait reports whether a page that cannot be opened now is tried again
// later: an address in use keeps the daemon neither from starting nor from
// applying other changes. A socket that the service manager did not pass at the
// start never comes.
func (d *Daemon) pageCanWait(cfg *config.Config, err error) bool {
	if errors.Is(err, responder.ErrNoSocket) {
		return false
	}
	return d.current == nil || d.current.page == nil && d.current.engine.Config.Status.Listen == cfg.Status.Listen
}
