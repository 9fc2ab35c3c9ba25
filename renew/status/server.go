package status

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"keypaird/renew"
	"keypaird/renew/textfmt"
)

// A Server makes what a [Front] serves: "/" is a page for browsers, "/status.json" the
// [Document], "/metrics" is for Prometheus, and "/healthz" is 200 if every target is
// healthy, else 503 with a line for each that is not. It changes nothing and holds no
// secrets.
type Server struct {
	Collect func() (Document, error) // required; called at most every second
	Metrics *Metrics                 // nil: there is no /metrics
	Log     *slog.Logger             // required
	Machine string                   // this machine's name, for the page; may be ""
	Version string                   // of this program, for the page; may be ""

	template *pageTemplate
	at       time.Time // of the rest
	doc      Document
	err      error
	answers  map[string][]byte // by page
}

const cacheTTL = time.Second // validity of answers

// Answer returns the encoded answer for one of [pages], which is at most a second old. It
// is called once at a time.
func (s *Server) Answer(page string) []byte {
	if s.template == nil {
		s.template = newPageTemplate()
	}
	if s.answers == nil || time.Since(s.at) >= cacheTTL {
		s.doc, s.err = s.collect()
		s.at, s.answers = time.Now(), map[string][]byte{}
	}
	if known, ok := s.answers[page]; ok {
		return known
	}
	var a answer
	switch page {
	case "/":
		a = s.page()
	case "/status.json":
		a = s.json()
	case "/healthz":
		a = s.health()
	case "/metrics":
		a = s.metrics()
	default:
		return notFound().encode()
	}
	s.answers[page] = a.encode()
	return s.answers[page]
}

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

// statusCode returns the HTTP status of the pages that show the state.
func (s *Server) statusCode() int {
	if s.err != nil {
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}

// page returns the page.
func (s *Server) page() answer {
	var body []byte
	var err error
	if s.err != nil {
		body, err = s.template.writeFault(s.Machine, s.err)
	} else {
		body, err = s.template.write(s.Machine, s.Version, s.doc)
	}
	if err != nil {
		s.Log.Error("page not written", "err", err)
		return plain(http.StatusInternalServerError, "the page could not be written: see the log\n")
	}
	return answer{s.statusCode(), "text/html; charset=utf-8", body}
}

// json returns /status.json.
func (s *Server) json() answer {
	var shown any = s.doc
	if s.err != nil {
		shown = Damage{Error: s.err.Error(), Remedy: renew.Remedy(s.err)}
	}
	body, err := textfmt.JSON(shown)
	if err != nil {
		s.Log.Error("status not written", "err", err)
		return plain(http.StatusInternalServerError, "the status could not be written: see the log\n")
	}
	return answer{s.statusCode(), "application/json", body}
}

// health returns /healthz.
func (s *Server) health() answer {
	if s.err != nil {
		return plain(http.StatusServiceUnavailable, printable(s.err.Error())+"\n")
	}
	var lines strings.Builder
	for _, t := range s.doc.Targets {
		if why := t.unhealthy(s.doc.Time); why != "" {
			fmt.Fprintf(&lines, "%s: %s\n", t.Name, printable(why))
		}
	}
	if lines.Len() > 0 {
		return plain(http.StatusServiceUnavailable, lines.String())
	}
	return plain(http.StatusOK, "ok\n")
}
