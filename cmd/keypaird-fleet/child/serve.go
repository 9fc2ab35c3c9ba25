package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/wire"
)

// Limits of what is held at once.
const (
	maxCost    = 128              // of requests: 1 each, and 1 for each costUnit of its line
	costUnit   = 64 << 10         // so 8 MiB of requests
	writeLimit = 30 * time.Second // in which keypaird reads a line, else it hangs
	endLimit   = 3 * time.Second  // for ending the leases
)

// A server serves one keypaird.
type server struct {
	means string
	costs chan struct{}

	work    sync.WaitGroup // requests
	watches sync.WaitGroup // of connections

	outMu sync.Mutex
	out   io.Writer

	mu      sync.Mutex
	conn    *connection // nil: not opened yet
	under   map[uint64]*request
	streams int
	leases  map[engine.LeaseID]bool
}

// A request is under way.
type request struct {
	wire.Request
	cancel  context.CancelFunc
	credits chan struct{} // for lines of entries
}

// serve serves until the end of the input, and ends the leases then.
func serve(ctx context.Context, means string, in io.Reader, out io.Writer) error {
	s := &server{means: means, out: out, costs: make(chan struct{}, maxCost), under: map[uint64]*request{}, leases: map[engine.LeaseID]bool{}}
	requests, cancel := context.WithCancel(ctx)
	err := s.read(requests, in)
	cancel()
	s.work.Wait()
	s.endLeases(ctx)
	if s.conn != nil {
		s.conn.close()
	}
	s.watches.Wait()
	return err
}

// read begins requests until there are no more.
func (s *server) read(ctx context.Context, in io.Reader) error {
	lines := wire.NewReader(in)
	for {
		var r wire.Request
		n, err := lines.Next(&r)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("reading a request: %w", err)
		case r.Take || r.Cancel:
			s.pass(r)
		case r.Open != nil:
			s.open(ctx, r)
		default:
			s.begin(ctx, r, 1+n/costUnit)
		}
	}
}

// open changes the settings.
func (s *server) open(ctx context.Context, r wire.Request) {
	conn, failure := connect(context.WithoutCancel(ctx), *r.Open)
	if failure == nil {
		s.watches.Go(conn.watch)
		s.mu.Lock()
		old := s.conn
		s.conn = conn
		s.mu.Unlock()
		if old != nil {
			old.close()
		}
	}
	s.answer(wire.Answer{ID: r.ID, Means: s.means, Failure: failure})
}

// pass passes on what a request says about another.
func (s *server) pass(r wire.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.under[r.ID]
	switch {
	case of == nil:
	case r.Cancel:
		of.cancel()
	case of.credits != nil:
		select {
		case of.credits <- struct{}{}:
		default: // more than were sent
		}
	}
}

// begin begins a request once there is room for it.
func (s *server) begin(ctx context.Context, r wire.Request, cost int) {
	for range cost {
		s.costs <- struct{}{}
	}
	ctx, cancel := context.WithCancel(ctx)
	q := &request{Request: r, cancel: cancel}
	s.mu.Lock()
	conn, stream := s.conn, r.Read != nil || r.Follow != nil
	busy := stream && s.streams >= wire.MaxStreams || s.under[r.ID] != nil
	if !busy {
		s.under[r.ID] = q
	}
	if stream && !busy {
		s.streams++
		q.credits = make(chan struct{}, wire.Window)
		for range wire.Window {
			q.credits <- struct{}{}
		}
	}
	s.mu.Unlock()
	free := sync.OnceFunc(func() {
		for range cost {
			<-s.costs
		}
	})
	if busy || conn == nil {
		s.answer(wire.Answer{ID: r.ID, Failure: &wire.Failure{Kind: wire.Other, Text: "keypaird-fleet has too many requests or no settings", Remedy: "report this"}})
	}
	if busy {
		cancel()
		free()
		return
	}
	s.work.Go(func() {
		defer s.end(q)
		defer free()
		if conn == nil {
			return
		}
		if r.Follow != nil {
			free() // it lasts
		}
		answer := s.do(ctx, conn, q)
		answer.ID = r.ID
		if ctx.Err() == nil {
			s.answer(answer)
		}
	})
}

// end forgets a request.
func (s *server) end(q *request) {
	q.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.under, q.ID)
	if q.credits != nil {
		s.streams--
	}
}

// do performs a request, and returns its last answer.
func (s *server) do(ctx context.Context, c *connection, q *request) wire.Answer {
	switch {
	case q.Commit != nil:
		return c.commit(ctx, q.Commit)
	case q.Read != nil:
		return c.read(ctx, q.Read.Prefix, s.lines(ctx, q))
	case q.Follow != nil:
		return c.follow(ctx, q.Follow, s.lines(ctx, q))
	case q.Lease != nil:
		a := c.lease(ctx, q.Lease.TTL)
		s.mu.Lock()
		defer s.mu.Unlock()
		if a.Failure == nil {
			s.leases[a.Lease] = true
		}
		return a
	case q.Renew != 0:
		return c.renew(ctx, q.Renew)
	case q.Request.End != 0:
		s.mu.Lock()
		delete(s.leases, q.Request.End)
		s.mu.Unlock()
		return c.endLease(ctx, q.Request.End)
	case q.State:
		return wire.Answer{State: c.state(ctx)}
	}
	return wire.Answer{Failure: &wire.Failure{Kind: wire.Other, Text: "keypaird-fleet does not know the request", Remedy: "install keypaird and keypaird-fleet of the same version"}}
}

// lines returns what sends entries as lines of an answer that goes on. It waits until
// keypaird wants them.
func (s *server) lines(ctx context.Context, q *request) func([]engine.Entry, engine.Revision) bool {
	return func(entries []engine.Entry, revision engine.Revision) bool {
		select {
		case <-q.credits:
			s.answer(wire.Answer{ID: q.ID, More: true, Entries: entries, Revision: revision})
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// answer writes an answer. A keypaird that does not read it within the limit hangs.
func (s *server) answer(a wire.Answer) {
	line, err := wire.Line(a)
	if err != nil {
		line, _ = wire.Line(wire.Answer{ID: a.ID, Failure: &wire.Failure{Kind: wire.TooLarge, Text: "a value of the engine is too large", Remedy: "find out who writes it: no value of keypaird's is"}})
	}
	s.outMu.Lock()
	defer s.outMu.Unlock()
	timer := time.AfterFunc(writeLimit, func() {
		fmt.Fprintln(os.Stderr, "keypaird-fleet: keypaird does not read answers")
		os.Exit(1)
	})
	defer timer.Stop()
	_, _ = s.out.Write(line) // who does not read any more closes the input, too
}

// endLeases ends the leases that are left.
func (s *server) endLeases(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, endLimit)
	defer cancel()
	var all sync.WaitGroup
	for id := range s.leases {
		all.Go(func() { s.conn.endLease(ctx, id) })
	}
	all.Wait()
}
