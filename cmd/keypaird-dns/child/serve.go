package child

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/go-acme/lego/v4/challenge"

	"keypaird/acme/dns01/need"
	"keypaird/renew/launch"
	"keypaird/renew/problem"
)

const (
	maxLine      = 64 << 10         // of a request or an answer
	requestGrace = time.Minute      // for a running request after the end of input
	exitLimit    = 2 * time.Minute  // from the end of input to the exit
	cleanUpLimit = 30 * time.Second // for one clean-up without a request
)

type request struct {
	Op        string   `json:"op"`
	Provider  string   `json:"provider"`  // open
	Resolvers []string `json:"resolvers"` // open; host:port
	Domain    string   `json:"domain"`
	Token     string   `json:"token"`
	KeyAuth   string   `json:"key_auth"`
}

type answer struct {
	FQDN         string `json:"fqdn,omitempty"`
	Value        string `json:"value,omitempty"`
	KeepsSeveral bool   `json:"keeps_several,omitempty"`
	Error        string `json:"error,omitempty"`
	Remedy       string `json:"remedy,omitempty"`
	Confinement  string `json:"confinement,omitempty"`
	Ending       bool   `json:"ending,omitempty"` // answers no request
}

// A record was presented, or may have been.
type record struct {
	domain, token, keyAuth string
	fqdn                   string
	uncertain              bool // presenting it failed, and then cleaning up too
}

type server struct {
	open         func(code string) (challenge.Provider, error)
	only         string // provider; empty: any
	confinement  string // means, or why there is none
	log          *lineLog
	requestGrace time.Duration
	exitLimit    time.Duration

	provider  challenge.Provider
	code      string
	resolvers []string
	stay      bool // CNAMEs are not followed
	pin       pin
	published []*record // and not yet removed, oldest first

	mu  sync.Mutex // a line at a time
	out io.Writer
}

// serve answers requests until the input ends or ctx does, then cleans up.
func (s *server) serve(ctx context.Context, in io.Reader) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	// After the end of ctx a running request has requestGrace, and all clean-ups have
	// exitLimit.
	work, cancelWork := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelWork()
	final, cancelFinal := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelFinal()
	defer context.AfterFunc(ctx, func() {
		time.AfterFunc(s.requestGrace, cancelWork)
		time.AfterFunc(s.exitLimit, cancelFinal)
		_ = s.send(answer{Ending: true}) // the parent may be gone
	})()
	lines := make(chan []byte, 1024)
	// The input is read concurrently, so that its end is noticed while a provider is
	// slow. The reader is not awaited: after a signal it is still in Read, and the
	// process exits.
	go func() {
		defer end()
		s.read(in, lines)
	}()
	for ctx.Err() == nil {
		select {
		case line := <-lines:
			if err := s.reply(ctx, work, line); err != nil {
				s.log.Printf("answering: %v", err)
				end()
			}
		case <-ctx.Done():
		}
	}
	s.drain(ctx, work, lines)
	defer s.pin.stop()
	return s.cleanUpAll(final)
}

func (s *server) read(in io.Reader, lines chan<- []byte) {
	scan := bufio.NewScanner(in)
	scan.Buffer(make([]byte, 0, 4096), maxLine)
	for scan.Scan() {
		lines <- bytes.Clone(scan.Bytes())
	}
	if err := scan.Err(); err != nil {
		s.log.Printf("reading requests: %v", err)
	}
}

// drain answers the requests from before the end. The parent may be gone; the
// clean-ups count.
func (s *server) drain(ctx, work context.Context, lines <-chan []byte) {
	for {
		select {
		case line := <-lines:
			_ = s.reply(ctx, work, line)
		default:
			return
		}
	}
}

func (s *server) reply(ctx, work context.Context, line []byte) error {
	launch.Rewind(os.Environ())
	a, err := s.handle(ctx, work, line)
	if err != nil {
		a = answer{Error: s.log.clean(err.Error()), Remedy: s.log.clean(cmp.Or(problem.Remedy(err), reachRemedy(err)))}
	}
	return s.send(a)
}

// reachRemedy returns the remedy for a server of the provider that could not be
// connected to; "" if another one is due.
func reachRemedy(err error) string {
	if _, ok := errors.AsType[*net.OpError](err); !ok {
		return ""
	}
	return "check that this machine can reach the provider's server, and the URL or address in env of the account's [dns] table"
}

func (s *server) send(a answer) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(a); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.out.Write(b.Bytes())
	return err
}

// handle serves one request. After the end of ctx nothing is published; the provider
// has until the end of work.
func (s *server) handle(ctx, work context.Context, line []byte) (answer, error) {
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		return answer{}, fmt.Errorf("request is not JSON: %w", err)
	}
	switch {
	case r.Op == "open" && s.provider == nil:
		return answer{Confinement: s.confinement}, s.openProvider(work, r)
	case r.Op == "open":
		return answer{}, errors.New("an account is open already")
	case s.provider == nil:
		return answer{}, errors.New("no account is open")
	case r.Domain == "" || r.Token == "" || r.KeyAuth == "":
		return answer{}, errors.New("domain, token and key_auth are required")
	case r.Op == "locate":
		return s.locate(work, r)
	case r.Op == "present" && ctx.Err() != nil:
		return answer{}, errors.New("not presented: keypaird-dns is ending")
	case r.Op == "present":
		return s.present(work, r)
	case r.Op == "cleanup":
		return s.cleanUp(work, r)
	}
	return answer{}, fmt.Errorf("unknown op %q", r.Op)
}

func (s *server) openProvider(work context.Context, r request) error {
	if s.only != "" && need.Canonical(r.Provider) != s.only {
		return fmt.Errorf("started for provider %q, not for %q", s.only, r.Provider)
	}
	if err := s.setResolvers(r.Resolvers); err != nil {
		return err
	}
	var p challenge.Provider
	err := s.call(work, func() (err error) {
		p, err = s.open(r.Provider)
		return err
	})
	if err != nil {
		return err
	}
	s.provider, s.code = p, need.Canonical(r.Provider)
	return nil
}

func (s *server) locate(work context.Context, r request) (answer, error) {
	sum := sha256.Sum256([]byte(r.KeyAuth)) // RFC 8555, section 8.4
	a := answer{Value: base64.RawURLEncoding.EncodeToString(sum[:]), KeepsSeveral: keepsSeveral[s.code]}
	err := s.call(work, func() (err error) {
		a.FQDN, err = s.follow(work, r.Domain)
		return err
	})
	return a, err
}

func (s *server) present(work context.Context, r request) (answer, error) {
	a, err := s.locate(work, r)
	if err != nil {
		return answer{}, err
	}
	rec := s.find(r)
	if rec == nil {
		rec = &record{domain: r.Domain, token: r.Token, keyAuth: r.KeyAuth, fqdn: a.FQDN}
		s.published = append(s.published, rec)
	}
	err = s.call(work, func() error {
		if err := s.lead(work, r.Domain, rec.fqdn); err != nil {
			return err
		}
		return s.provider.Present(r.Domain, r.Token, r.KeyAuth)
	})
	if err == nil {
		return a, nil
	}
	if !errors.Is(err, errHangs) {
		s.undo(work, rec)
	}
	return answer{}, err
}

// undo cleans up after a failed present: it may have failed after it published the
// record.
func (s *server) undo(work context.Context, rec *record) {
	if err := s.withdraw(work, rec); err != nil {
		s.log.Printf("cleaning up after a failed present: %v", err)
		rec.uncertain = true
	}
}

// cleanUp also removes a record that another process presented, if the provider can.
func (s *server) cleanUp(work context.Context, r request) (answer, error) {
	rec := s.find(r)
	if rec == nil {
		rec = &record{domain: r.Domain, token: r.Token, keyAuth: r.KeyAuth}
	}
	if err := s.call(work, func() error { return s.remove(work, rec) }); err != nil {
		return answer{}, err
	}
	s.forget(rec)
	return answer{FQDN: rec.fqdn}, nil
}

func (s *server) find(r request) *record {
	for _, o := range s.published {
		if o.domain == r.Domain && o.token == r.Token && o.keyAuth == r.KeyAuth {
			return o
		}
	}
	return nil
}

func (s *server) forget(rec *record) {
	s.published = slices.DeleteFunc(s.published, func(o *record) bool { return o == rec })
}
