package status

import (
	"context"
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
	"keypaird/renew/textfmt"
)

// A Server serves the status of targets: "/" is a page for browsers,
// "/status.json" the [Document], "/metrics" is for Prometheus, and "/healthz"
// responds 200 if every target is healthy, else 503 with a line for each that is
// not. It changes nothing and holds no secrets.
type Server struct {
	Collect func() (Document, error) // required; called once at a time, and at most every two seconds
	Metrics *Metrics                 // nil: there is no /metrics
	Log     *slog.Logger             // required
	Listen  string                   // [status] listen; requests may name its host
	Machine string                   // this machine's name, for the page; may be ""

	once       sync.Once
	collecting chan struct{} // held while collecting
	at         time.Time     // time of the cached result; collecting guards the next three
	doc        Document
	err        error
	template   *pageTemplate
}

const (
	cacheTTL       = 2 * time.Second  // validity of a collected document
	collectTimeout = 20 * time.Second // how long a request waits for another that collects
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
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // ignore errors of clients
	}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	s.once.Do(func() {
		s.collecting = make(chan struct{}, 1)
		s.template = newPageTemplate()
	})
	h := w.Header()
	h.Set("Content-Security-Policy", s.template.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		plain(w, req, http.StatusMethodNotAllowed, "only GET and HEAD are allowed\n")
		return
	}
	if !s.accepts(req) {
		plain(w, req, http.StatusMisdirectedRequest,
			"the requested host is not served here: request localhost, or let the proxy send \"Host: localhost\"\n")
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
		plain(w, req, http.StatusNotFound, "not found: see /, /status.json, /metrics and /healthz\n")
	}
}

// accepts reports whether the server serves the requested host. A web page can
// resolve its own name to the loopback address and so read the response with a
// local browser (DNS rebinding); on loopback, foreign host names are rejected.
func (s *Server) accepts(req *http.Request) bool {
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

// hostOf returns the host of "host:port" or "host".
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

// document returns the status of targets. Concurrent requests share one
// collection.
func (s *Server) document(ctx context.Context) (Document, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, collectTimeout, errSlow)
	defer cancel()
	select {
	case s.collecting <- struct{}{}:
		defer func() { <-s.collecting }()
	case <-ctx.Done():
		return Document{}, context.Cause(ctx)
	}
	if s.at.IsZero() || time.Since(s.at) >= cacheTTL {
		s.doc, s.err = s.collect()
		s.at = time.Now()
	}
	return s.doc, s.err
}

var errSlow = errors.New("reading the state timed out: is the disk slow?")

// collect calls Collect. A panic must not end the daemon.
func (s *Server) collect() (doc Document, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("internal fault: %v", v)
		}
		repeated := s.err != nil && err != nil && s.err.Error() == err.Error()
		if err != nil && !repeated {
			s.Log.Error("state not read", "err", err)
		}
	}()
	return s.Collect()
}

// page serves the page.
func (s *Server) page(w http.ResponseWriter, req *http.Request) {
	doc, err := s.document(req.Context())
	status := http.StatusOK
	var body []byte
	if err != nil {
		status = http.StatusServiceUnavailable
		body, err = s.template.writeFault(s.Machine, err)
	} else {
		body, err = s.template.write(s.Machine, doc)
	}
	if err != nil {
		s.Log.Error("page not written", "err", err)
		plain(w, req, http.StatusInternalServerError, "the page could not be written: see the log\n")
		return
	}
	reply(w, req, status, "text/html; charset=utf-8", body)
}

// json serves /status.json.
func (s *Server) json(w http.ResponseWriter, req *http.Request) {
	doc, err := s.document(req.Context())
	status := http.StatusOK
	var shown any = doc
	if err != nil {
		status, shown = http.StatusServiceUnavailable, Damage{Error: err.Error(), Remedy: renew.Remedy(err)}
	}
	body, err := textfmt.JSON(shown)
	if err != nil {
		s.Log.Error("status not written", "err", err)
		plain(w, req, http.StatusInternalServerError, "the status could not be written: see the log\n")
		return
	}
	reply(w, req, status, "application/json", body)
}

// health serves /healthz.
func (s *Server) health(w http.ResponseWriter, req *http.Request) {
	doc, err := s.document(req.Context())
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
	reply(w, req, status, "text/plain; charset=utf-8", []byte(textfmt.Printable(text)))
}

func reply(w http.ResponseWriter, req *http.Request, status int, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if req.Method != http.MethodHead {
		_, _ = w.Write(body) // the client may be gone
	}
}
