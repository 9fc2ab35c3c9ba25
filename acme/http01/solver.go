package http01

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"keypaird/acme"
	"keypaird/renew/durable"
)

const (
	maxConns  = 128            // at once, for each socket
	tokenLife = 24 * time.Hour // a token older than this was left by a killed process
)

// A Solver proves names by http-01. It is an acme.Solver. It listens from Start,
// or from the first proof, until Close.
type Solver struct {
	Dir     string       // required; of tokens, made if missing
	Listen  string       // see Listen; "" never listens: another process serves Dir
	Webroot string       // directory a web server shows as Path; if set, tokens go there and nothing is listened on
	Log     *slog.Logger // required

	peer string // where a keypaird would be found that was passed a socket; empty: localhost:80

	mu      sync.Mutex
	started bool
	tried   time.Time // when a peer's place was last asked for
	servers []*http.Server
	served  sync.WaitGroup
}

// Solve implements acme.Solver.
func (s *Solver) Solve(ctx context.Context, c acme.Challenge, validate func(context.Context) error) error {
	dir, mode := s.place()
	if err := s.publish(dir, mode, c); err != nil {
		return err
	}
	defer s.withdraw(filepath.Join(dir, c.Token))
	err := s.start(ctx, c)
	switch {
	case err == nil:
		return validate(ctx)
	case mayBeHeld(err) && s.heldByPeer(ctx, c):
		return s.lean(ctx, c, validate)
	}
	return err
}

// place is where tokens go, and who may read them.
func (s *Solver) place() (string, fs.FileMode) {
	if s.Webroot != "" {
		return s.Webroot, 0o644
	}
	return s.Dir, 0o600
}

func (s *Solver) publish(dir string, mode fs.FileMode, c acme.Challenge) error {
	var err error
	if s.Webroot == "" {
		err = os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		err = durable.CheckDir(dir)
	}
	if err == nil {
		err = write(dir, c.Token, c.KeyAuth, mode)
	}
	if err == nil { // the CA asks once, and then the order is spoilt
		if _, err = read(dir, c.Token); err != nil {
			s.withdraw(filepath.Join(dir, c.Token))
		}
	}
	var open *durable.UnsafeError
	if err == nil || errors.As(err, &open) {
		return err
	}
	return &PublishError{Dir: dir, Err: err}
}

func (s *Solver) withdraw(file string) {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.Log.Warn("token not removed", "file", file, "err", err)
	}
}

// A PublishError reports a token that could not be written.
type PublishError struct {
	Dir string
	Err error
}

func (e *PublishError) Error() string { return fmt.Sprintf("writing a token to %s: %v", e.Dir, e.Err) }

func (e *PublishError) Unwrap() error { return e.Err }

// Remedy says what the operator can do about it.
func (e *PublishError) Remedy() string {
	var unreadable interface{ Remedy() string }
	if errors.As(e.Err, &unreadable) {
		return unreadable.Remedy()
	}
	return "make the directory exist and writable for keypaird, or correct [http-01] webroot"
}

// Start listens at once instead of at the first proof, unless the configuration
// says that others do. It is for a daemon: other processes that prove names over
// the same directory lean on it, and nobody waits at a socket of the service
// manager that is not served yet.
func (s *Solver) Start(ctx context.Context) error {
	if s.Webroot != "" || s.Listen == "" {
		return nil
	}
	return s.start(ctx, acme.Challenge{})
}

// start tidies up and listens, unless the configuration says that others do.
// A port that is taken is tried again by the next proof.
func (s *Solver) start(ctx context.Context, c acme.Challenge) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.started:
		return nil
	case s.Webroot != "":
		s.sweep(s.Webroot, strings.TrimPrefix(c.KeyAuth, c.Token)) // others may keep tokens there
	case s.Listen != "":
		ls, err := Listen(ctx, s.Listen)
		if err != nil {
			return err
		}
		s.sweep(s.Dir, "")
		for _, l := range ls {
			s.serve(l)
		}
	}
	s.started = true
	return nil
}

// serve serves the tokens until Close, which also waits for the end.
func (s *Solver) serve(l net.Listener) {
	srv := NewServer(s.Dir)
	s.servers = append(s.servers, srv)
	s.served.Go(func() { _ = srv.Serve(netutil.LimitListener(l, maxConns)) })
	s.Log.Debug("listening for http-01", "addr", l.Addr().String())
}

// NewServer returns a server for a directory of tokens, guarded against peers
// that are slow or many.
func NewServer(dir string) *http.Server {
	return &http.Server{
		Handler:           Responder{Dir: dir},
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      10 * time.Second,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // peers' mistakes are not ours
	}
}

// Close stops listening and waits until it has. The next proof listens again.
func (s *Solver) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, srv := range s.servers {
		srv.Close()
	}
	s.served.Wait()
	s.servers, s.started = nil, false
}

// sweep removes the tokens that killed processes left in dir, if they end like
// ours.
func (s *Solver) sweep(dir, end string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // the proof itself will say what is wrong with it
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || time.Since(info.ModTime()) < tokenLife {
			continue
		}
		keyAuth, err := read(dir, e.Name())
		if strings.HasPrefix(e.Name(), unfinished) || acme.IsToken(e.Name()) && err == nil && strings.HasSuffix(string(keyAuth), end) {
			s.withdraw(filepath.Join(dir, e.Name()))
		}
	}
}

const getTimeout = 10 * time.Second

// Get asks addr, and no other address, for a token of host as a CA would.
func Get(ctx context.Context, addr, host, token string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, getTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+Path+token, nil)
	if err != nil {
		return "", err
	}
	if req.Host = host; strings.Contains(host, ":") {
		req.Host = "[" + host + "]" // an IPv6 address
	}
	client := &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true}, // no proxy: the CA uses none
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeyAuth))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("http status %s", resp.Status)
	}
	return strings.TrimRight(string(body), " \t\r\n"), nil
}
