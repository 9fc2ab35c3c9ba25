package dns01

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"keypaird/acme/dns01/dnsquery"

	"github.com/miekg/dns"
)

// A Checker asks DNS servers directly. Its zero value asks the authoritative
// servers of each name, found through the resolvers of resolv.conf.
type Checker struct {
	Resolvers  []string      // host:port; asked instead of authoritative servers, and for everything else
	System     []string      // host:port; find the authoritative servers; empty: resolv.conf's
	ResolvConf string        // path, read at each use; empty: /etc/resolv.conf
	Port       string        // of authoritative servers; empty: "53"
	Timeout    time.Duration // of one query over UDP, and again over TCP; zero: 2s
	Grace      time.Duration // how long a server may be silent before it is passed over; zero: 5s
	Log        *slog.Logger  // nil: nothing is logged

	slots chan struct{} // holds a value for each query under way; nil: no bound
}

// What answers of others make us do has bounds.
const (
	maxServers = 13 // of a zone
	maxAddrs   = 4  // of a name server
	maxQueries = 64 // at the same time, of one call
)

// bounded is c for one call.
func (c Checker) bounded() Checker {
	if c.slots == nil {
		c.slots = make(chan struct{}, maxQueries)
	}
	return c
}

func (c Checker) grace() time.Duration {
	if c.Grace > 0 {
		return c.Grace
	}
	return 5 * time.Second
}

func (c Checker) log() *slog.Logger {
	if c.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Log
}

// Await waits until value is among the TXT records of fqdn: at every
// authoritative server, or at every one of Resolvers. Of a server's addresses
// one that answers is enough; a server none of whose addresses answers is
// passed over with a warning if another one shows the value, but no resolver
// is. After limit the error is a *PropagationError.
func (c Checker) Await(ctx context.Context, fqdn, value string, limit time.Duration) error {
	return c.await(ctx, fqdn, limit, func(txts []string) bool {
		for _, txt := range txts {
			if txt == value {
				return true
			}
		}
		return false
	})
}

// await waits until the TXT records of fqdn match. With no limit what a server
// shows first counts, and only silence is given time.
func (c Checker) await(ctx context.Context, fqdn string, limit time.Duration, match func([]string) bool) error {
	c = c.bounded()
	begun := time.Now()
	grace := c.grace()
	most := 3 * grace
	if limit > 0 {
		grace, most = min(grace, limit/2), limit
	}
	watch, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	name, servers, err := c.servers(watch, fqdn, begun)
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("looking at %s: %w", fqdn, context.Cause(ctx))
		}
		return &PropagationError{FQDN: fqdn, Saw: err.Error(), After: time.Since(begun), Blocked: true}
	}
	sightings := make(chan sighting)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for i, s := range servers {
		for _, addr := range s.addrs {
			wg.Go(func() { c.watch(watch, i, addr, name, match, begun, sightings) })
		}
	}
	over := time.NewTimer(time.Until(begun.Add(grace)) + time.Millisecond)
	defer over.Stop()
	t := tally{servers: servers, fair: begun.Add(grace), once: limit == 0, all: len(c.Resolvers) > 0}
	for {
		if t.verdict(time.Now()) {
			return t.result(fqdn, begun, c.log())
		}
		select {
		case s := <-sightings:
			t.add(s)
		case <-over.C: // of the grace: who was silent may be passed over now
		case <-watch.Done():
			if ctx.Err() != nil {
				return fmt.Errorf("looking at %s: %w", fqdn, context.Cause(ctx))
			}
			return t.failure(fqdn, begun)
		}
	}
}

// A sighting is what one address of a server shows.
type sighting struct {
	server int
	addr   string
	state  state
	saw    string
}

type state int

const (
	silent  state = iota // no answer, or none that tells anything
	missing              // an answer without what is wanted
	shown
)

// watch asks one address until it shows what is wanted. The pace starts at 15
// ms and slows down with the time that has passed. A resolver's "no" comes from
// its cache until the time it states is over: asking earlier is no use.
func (c Checker) watch(ctx context.Context, server int, addr, name string, match func([]string) bool, begun time.Time, out chan<- sighting) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
		s, cached := c.look(ctx, addr, name, match)
		if ctx.Err() != nil || s.state == silent && late(ctx) {
			return
		}
		s.server, s.addr = server, addr
		select {
		case out <- s:
		case <-ctx.Done():
			return
		}
		if s.state == shown {
			return
		}
		pause.Reset(pace(time.Since(begun), cached))
	}
}

// late reports whether the deadline of ctx has passed: a query may find that out
// before ctx does, and takes it for silence.
func late(ctx context.Context) bool {
	at, ok := ctx.Deadline()
	return ok && !time.Now().Before(at)
}

func pace(elapsed, cached time.Duration) time.Duration {
	const first, last = 15 * time.Millisecond, 5 * time.Second
	return min(max(elapsed/8, first, cached), last)
}

// look asks once. cached is how long a negative answer will not change.
func (c Checker) look(ctx context.Context, addr, name string, match func([]string) bool) (s sighting, cached time.Duration) {
	recurse := len(c.Resolvers) > 0
	in, err := c.query(ctx, name, dns.TypeTXT, addr, recurse)
	if err != nil {
		return sighting{state: silent, saw: err.Error()}, 0
	}
	var txts []string
	var alias string
	for _, rr := range in.Answer {
		switch rr := rr.(type) {
		case *dns.TXT:
			txts = append(txts, strings.Join(rr.Txt, ""))
		case *dns.CNAME:
			alias = rr.Target
		}
	}
	if match(txts) {
		return sighting{state: shown}, 0
	}
	if err := dnsquery.Check(in, recurse); err != nil {
		return sighting{state: silent, saw: err.Error()}, 0
	}
	if !in.Authoritative {
		cached = dnsquery.NegativeTTL(in)
	}
	return sighting{state: missing, saw: describe(in, txts, alias)}, cached
}

func describe(in *dns.Msg, txts []string, alias string) string {
	switch {
	case len(txts) > 0:
		return fmt.Sprintf("it shows only %s", quoteSome(txts))
	case alias != "":
		return fmt.Sprintf("it shows a CNAME to %s", alias)
	case in.Rcode == dns.RcodeNameError:
		return "it knows no such name"
	}
	return "it has no TXT record there"
}

// quoteSome shows a few values, which anybody may have published.
func quoteSome(txts []string) string {
	text := ""
	for i, txt := range txts {
		if i == 3 {
			return text + fmt.Sprintf(" and %d more", len(txts)-i)
		}
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%.200q", txt)
	}
	return text
}
