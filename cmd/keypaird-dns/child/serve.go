package child

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"keypaird/renew/problem"

	"github.com/go-acme/lego/v4/challenge"
	"github.com/go-acme/lego/v4/challenge/dns01"
)

const (
	maxLine  = 64 << 10         // of a request or an answer
	patience = time.Minute      // with a request under way at the end of input
	bound    = 2 * time.Minute  // from the end of input to our own
	each     = 30 * time.Second // for one clean-up nobody waits for
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

// A record is one that was presented, or may have been.
type record struct {
	domain, token, keyAuth string
	fqdn                   string
	doubtful               bool // the provider said no, and then could not clean up either
}

type server struct {
	open            func(code string) (challenge.Provider, error)
	only            string // provider; empty: any
	confinement     string // what was done about it
	log             *lineLog
	patience, bound time.Duration

	provider  challenge.Provider
	code      string
	resolvers []string
	outside   []*record // published and not yet withdrawn, oldest first

	mu  sync.Mutex // a line at a time
	out io.Writer
}

// serve answers requests until the input ends or ctx does, then cleans up.
func (s *server) serve(ctx context.Context, in io.Reader) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	// What runs at the end may outlive it: a request by patience, all of it by
	// bound.
	work, late := context.WithCancel(context.WithoutCancel(ctx))
	defer late()
	last, over := context.WithCancel(context.WithoutCancel(ctx))
	defer over()
	defer context.AfterFunc(ctx, func() {
		time.AfterFunc(s.patience, late)
		time.AfterFunc(s.bound, over)
		_ = s.say(answer{Ending: true}) // the parent may be gone
	})()
	lines := make(chan []byte, 1024)
	// The input is read on its own so that its end is noticed while a provider
	// is slow. Nobody waits for this reader: after a signal it is still in
	// Read, and the process is about to exit.
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
	return s.cleanUpAll(last)
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

// drain answers what was asked before the end. Nobody may be left to read it;
// the clean-ups count.
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
	a, err := s.handle(ctx, work, line)
	if err != nil {
		a = answer{Error: s.log.tidy(err.Error()), Remedy: s.log.tidy(problem.Remedy(err))}
	}
	return s.say(a)
}

func (s *server) say(a answer) error {
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

// handle serves one request. After the end of ctx nothing new is published;
// work is how long a provider may take.
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
	if s.only != "" && canonical(r.Provider) != s.only {
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
	s.provider, s.code = p, canonical(r.Provider)
	return nil
}

func (s *server) locate(work context.Context, r request) (answer, error) {
	var info dns01.ChallengeInfo
	err := s.call(work, func() (err error) {
		info, err = s.follow(work, r.Domain, r.KeyAuth)
		return err
	})
	return answer{FQDN: info.EffectiveFQDN, Value: info.Value, KeepsSeveral: keepsSeveral[s.code]}, err
}

func (s *server) present(work context.Context, r request) (answer, error) {
	a, err := s.locate(work, r)
	if err != nil {
		return answer{}, err
	}
	rec := s.find(r)
	if rec == nil {
		rec = &record{domain: r.Domain, token: r.Token, keyAuth: r.KeyAuth, fqdn: a.FQDN}
		s.outside = append(s.outside, rec)
	}
	err = s.call(work, func() error { return s.provider.Present(r.Domain, r.Token, r.KeyAuth) })
	if err == nil {
		return a, nil
	}
	if !errors.Is(err, errHangs) {
		s.undo(work, rec)
	}
	return answer{}, err
}

// undo cleans up after a failed present: it may have failed after the record
// was made.
func (s *server) undo(work context.Context, rec *record) {
	if err := s.withdraw(work, rec); err != nil {
		s.log.Printf("cleaning up after a failed present: %v", err)
		rec.doubtful = true
	}
}

// cleanUp also withdraws what another process presented, as far as the
// provider can without having done it itself.
func (s *server) cleanUp(work context.Context, r request) (answer, error) {
	rec := s.find(r)
	if rec == nil {
		rec = &record{domain: r.Domain, token: r.Token, keyAuth: r.KeyAuth}
	}
	if err := s.call(work, func() error { return s.remove(rec) }); err != nil {
		return answer{}, err
	}
	s.forget(rec)
	return answer{FQDN: rec.fqdn}, nil
}

func (s *server) find(r request) *record {
	for _, o := range s.outside {
		if o.domain == r.Domain && o.token == r.Token && o.keyAuth == r.KeyAuth {
			return o
		}
	}
	return nil
}

func (s *server) forget(rec *record) {
	s.outside = slices.DeleteFunc(s.outside, func(o *record) bool { return o == rec })
}
