package status

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"keypaird/renew"
)

// A Server shows how targets stand: "/" is a page for people, "/status.json" the
// [Document], "/metrics" is for Prometheus, and "/healthz" answers 200 as long
// as no target is a concern, else 503 and a line for each that is. It changes
// nothing and knows no secrets.
type Server struct {
	Collect func() (Document, error) // required; called once at a time, and at most every two seconds
	Metrics *Metrics                 // nil: there is no /metrics
	Log     *slog.Logger             // required
	Listen  string                   // what [status] listen says; requests may ask for its host by name
	Machine string                   // this machine's name, for the page; may be ""

	once  sync.Once
	turn  chan struct{} // held by who collects
	at    time.Time     // of what was collected last; these three are of who holds turn
	doc   Document
	err   error
	paper *paper
}

const (
	fresh   = 2 * time.Second  // how long what was collected is shown
	patient = 20 * time.Second // how long a request waits for another to collect
)

// NewServer returns an HTTP server for h that bounds what a client can hold up.
func NewServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // peers' mistakes are not ours
	}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	s.once.Do(func() {
		s.turn = make(chan struct{}, 1)
		s.paper = newPaper()
	})
	h := w.Header()
	h.Set("Content-Security-Policy", s.paper.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		plain(w, req, http.StatusMethodNotAllowed, "only GET and HEAD are answered here\n")
		return
	}
	if !s.meant(req) {
		plain(w, req, http.StatusMisdirectedRequest,
			"this is not the site that was asked for: ask for localhost, or have the proxy before this send \"Host: localhost\"\n")
		return
	}
	switch req.URL.Path {
	case "/":
		s.page(w, req)
	case "/status.json":
		s.json(w, req)
	case "/healthz":
		s.health(w, req)
	case "/metrics":
		if s.Metrics != nil {
			s.metrics(w, req)
			return
		}
		fallthrough
	default:
		plain(w, req, http.StatusNotFound, "there are /, /status.json, /metrics and /healthz\n")
	}
}

// meant reports whether a request is for us. A page of the web can have its
// own name resolve to our loopback address and so make a browser here read what
// we say (DNS rebinding): on loopback, names of others are refused.
func (s *Server) meant(req *http.Request) bool {
	switch at := req.Context().Value(http.LocalAddrContextKey).(type) {
	case *net.UnixAddr: // no browser gets there
		return true
	case *net.TCPAddr:
		if !at.IP.IsLoopback() {
			return true
		}
	}
	host := hostOf(req.Host)
	own := hostOf(s.Listen)
	_, err := netip.ParseAddr(host)
	return err == nil || host == "" || host == "localhost" || own != "" && host == own
}

// hostOf is the host in "host:port" or "host".
func hostOf(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
		if inner, ok := strings.CutPrefix(host, "["); ok && strings.HasSuffix(inner, "]") {
			host = strings.TrimSuffix(inner, "]")
		}
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// look returns how targets stand. Who comes while another collects waits and
// gets the same.
func (s *Server) look(ctx context.Context) (Document, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patient, errSlow)
	defer cancel()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return Document{}, context.Cause(ctx)
	}
	if s.at.IsZero() || time.Since(s.at) >= fresh {
		s.doc, s.err = s.collect()
		s.at = time.Now()
	}
	return s.doc, s.err
}

var errSlow = errors.New("the state is still being read: is its disk slow?")

// collect calls Collect. A panic must not end the process that keeps the
// certificates alive.
func (s *Server) collect() (doc Document, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("internal fault: %v", v)
		}
		said := s.err != nil && err != nil && s.err.Error() == err.Error() // two seconds ago, perhaps
		if err != nil && !said {
			s.Log.Error("state not read", "err", err)
		}
	}()
	return s.Collect()
}

// page is for people.
func (s *Server) page(w http.ResponseWriter, req *http.Request) {
	doc, err := s.look(req.Context())
	status := http.StatusOK
	var body []byte
	if err != nil {
		status = http.StatusServiceUnavailable
		body, err = s.paper.writeFault(s.Machine, err)
	} else {
		body, err = s.paper.write(s.Machine, doc)
	}
	if err != nil {
		s.Log.Error("page not written", "err", err)
		plain(w, req, http.StatusInternalServerError, "the page could not be written: see the log\n")
		return
	}
	reply(w, req, status, "text/html; charset=utf-8", body)
}

// json is for programs.
func (s *Server) json(w http.ResponseWriter, req *http.Request) {
	doc, err := s.look(req.Context())
	status := http.StatusOK
	var body bytes.Buffer
	out := json.NewEncoder(&body)
	out.SetIndent("", "  ")
	if err != nil {
		status = http.StatusServiceUnavailable
		err = out.Encode(Damage{Error: err.Error(), Remedy: renew.Remedy(err)})
	} else {
		err = out.Encode(doc)
	}
	if err != nil {
		s.Log.Error("status not written", "err", err)
		plain(w, req, http.StatusInternalServerError, "the status could not be written: see the log\n")
		return
	}
	reply(w, req, status, "application/json", body.Bytes())
}

// health says whether a target is a concern.
func (s *Server) health(w http.ResponseWriter, req *http.Request) {
	doc, err := s.look(req.Context())
	if err != nil {
		plain(w, req, http.StatusServiceUnavailable, printable(err.Error())+"\n")
		return
	}
	var lines strings.Builder
	for _, t := range doc.Targets {
		if why := t.unhealthy(doc.Time); why != "" {
			fmt.Fprintf(&lines, "%s: %s\n", t.Name, printable(why))
		}
	}
	if lines.Len() > 0 {
		plain(w, req, http.StatusServiceUnavailable, lines.String())
		return
	}
	plain(w, req, http.StatusOK, "ok\n")
}

func plain(w http.ResponseWriter, req *http.Request, status int, text string) {
	reply(w, req, status, "text/plain; charset=utf-8", []byte(text))
}

func reply(w http.ResponseWriter, req *http.Request, status int, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if req.Method != http.MethodHead {
		_, _ = w.Write(body) // a peer that went away is not ours to mend
	}
}
