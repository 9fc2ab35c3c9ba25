package status

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"keypaird/renew/textfmt"
)

// A Front serves the pages of a [Server] over HTTP. It reads nothing, knows no target,
// and may run in a process of its own.
type Front struct {
	Ask    func(ctx context.Context, page string) ([]byte, error) // required; as Server.Answer
	Listen string                                                 // [status] listen; requests may name its host
	Names  []string                                               // other hosts that requests may name
}

// askTimeout is how long a client waits for an answer.
const askTimeout = 20 * time.Second

// pages returns what a Front asks for.
func pages() []string { return []string{"/", "/status.json", "/metrics", "/healthz"} }

// ServeHTTP implements http.Handler.
func (f *Front) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy())
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	switch {
	case req.Method != http.MethodGet && req.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		reply(w, req, plain(http.StatusMethodNotAllowed, "only GET and HEAD are allowed\n"))
	case !f.accepts(req):
		reply(w, req, plain(http.StatusMisdirectedRequest, "the requested host is not served here: request localhost or an address, "+
			"add the name to [status] names, or let the proxy send \"Host: localhost\"\n"))
	case !slices.Contains(pages(), req.URL.Path):
		reply(w, req, notFound())
	default:
		reply(w, req, f.ask(req))
	}
}

// ask returns the answer to a request.
func (f *Front) ask(req *http.Request) answer {
	ctx, cancel := context.WithTimeout(req.Context(), askTimeout)
	defer cancel()
	text, err := f.Ask(ctx, req.URL.Path)
	if errors.Is(err, context.DeadlineExceeded) {
		return plain(http.StatusServiceUnavailable, "reading the state timed out: is the disk slow?\n")
	}
	return decode(text) // of no answer, too
}

// accepts reports whether the server serves the requested host. A web page can
// resolve its own name to an address of ours and so read the response with a browser that
// may connect to it (DNS rebinding): only names that no web page can have are served.
func (f *Front) accepts(req *http.Request) bool {
	if _, unix := req.Context().Value(http.LocalAddrContextKey).(*net.UnixAddr); unix { // no browser connects to it
		return true
	}
	host := hostOf(req.Host)
	_, err := netip.ParseAddr(host)
	same := func(name string) bool { return strings.EqualFold(name, host) }
	return err == nil || host == "" || host == "localhost" || host == hostOf(f.Listen) || slices.ContainsFunc(f.Names, same)
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

// An answer is a response without the headers that all have.
type answer struct {
	status int
	kind   string // Content-Type
	body   []byte
}

func plain(status int, text string) answer {
	return answer{status, "text/plain; charset=utf-8", []byte(textfmt.Printable(text))}
}

func notFound() answer {
	return plain(http.StatusNotFound, "not found: see /, /status.json, /metrics and /healthz\n")
}

// encode returns an answer as its status, its type and its body.
func (a answer) encode() []byte {
	return append(fmt.Appendf(nil, "%d %s\n", a.status, a.kind), a.body...)
}

// decode reads what encode has written.
func decode(text []byte) answer {
	head, body, ok := bytes.Cut(text, []byte("\n"))
	number, kind, _ := strings.Cut(string(head), " ")
	status, err := strconv.Atoi(number)
	if err != nil || !ok {
		return plain(http.StatusServiceUnavailable, "keypaird did not answer: see its log\n")
	}
	return answer{status, kind, body}
}

func reply(w http.ResponseWriter, req *http.Request, a answer) {
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	if req.Method != http.MethodHead {
		_, _ = w.Write(a.body) // the client may be gone
	}
}
