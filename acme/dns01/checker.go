package dns01

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"keypaird/acme/dns01/dnsquery"

	"github.com/miekg/dns"
)

// A Checker queries DNS servers directly. Its zero value queries the authoritative
// servers of each name, which it finds with the resolvers of resolv.conf.
type Checker struct {
	Resolvers  []string      // host:port; queried instead of authoritative servers, and for everything else
	System     []string      // host:port; find the authoritative servers; empty: resolv.conf's
	ResolvConf string        // path, read at each use; empty: /etc/resolv.conf
	Port       string        // of authoritative servers; empty: "53"
	Timeout    time.Duration // of one attempt, over UDP at most 3s; zero: 2s
	Grace      time.Duration // how long to wait for a silent server before it is skipped; zero: 5s
	Log        *slog.Logger  // nil: nothing is logged

	slots chan struct{} // holds a value for each running query; nil: no limit
}

// Limits on the work that answers can cause.
const (
	maxServers = 13 // of a zone
	maxAddrs   = 4  // of a name server
	maxQueries = 64 // at the same time, of one call
)

// bounded returns c with the limits of one call.
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

// Await waits until value is among the TXT records of fqdn at every authoritative
// server, or at every one of Resolvers; the caller has followed CNAMEs (see
// [dnsquery.Delegation]): a resolver may still hold that of a wildcard. One address of a server that answers is
// enough. An authoritative server that does not answer is skipped with a warning if
// another one has the value. After limit the error is a *PropagationError.
func (c Checker) Await(ctx context.Context, fqdn, value string, limit time.Duration) error {
	return c.awaitValue(ctx, fqdn, value, limit, &found{})
}

// awaitValue is Await, and adds to f.
func (c Checker) awaitValue(ctx context.Context, fqdn, value string, limit time.Duration, f *found) error {
	return c.await(ctx, fqdn, false, limit, func(txts []string) bool { return slices.Contains(txts, value) }, f)
}

// found lists the values that the servers had at a name, whenever they were asked.
type found struct {
	ttl    time.Duration // the longest
	values []string
}

func (f *found) add(s txtAnswer) {
	f.ttl = max(f.ttl, s.ttl)
	for _, txt := range s.txts {
		if !slices.Contains(f.values, txt) {
			f.values = append(f.values, txt)
		}
	}
}

// await waits until the TXT records of fqdn match. Without a limit the first answer
// of each server is final, and await only waits for silent servers. With follow the
// records are those at the end of the CNAMEs of fqdn.
func (c Checker) await(ctx context.Context, fqdn string, follow bool, limit time.Duration, match func([]string) bool, f *found) error {
	c = c.bounded()
	begun := time.Now()
	grace := c.grace()
	most := 3 * grace
	if limit > 0 {
		grace, most = min(grace, limit/2), limit
	}
	watch, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	name, servers, err := c.servers(watch, fqdn, follow, begun)
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("checking TXT records of %s: %w", fqdn, context.Cause(ctx))
		}
		return &PropagationError{FQDN: fqdn, Found: err.Error(), After: time.Since(begun), Blocked: true}
	}
	answers := make(chan txtAnswer)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for i, s := range servers {
		for _, addr := range s.addrs {
			wg.Go(func() { c.poll(watch, i, addr, name, match, begun, answers) })
		}
	}
	graceOver := time.NewTimer(time.Until(begun.Add(grace)) + time.Millisecond)
	defer graceOver.Stop()
	t := summary{servers: servers, graceEnd: begun.Add(grace), single: limit == 0, requireAll: len(c.Resolvers) > 0}
	for {
		if t.decided(time.Now()) {
			return t.result(fqdn, begun, c.log())
		}
		select {
		case s := <-answers:
			t.add(s)
			f.add(s)
		case <-graceOver.C: // silent servers may be skipped now
		case <-watch.Done():
			if ctx.Err() != nil {
				return fmt.Errorf("checking TXT records of %s: %w", fqdn, context.Cause(ctx))
			}
			return t.failure(fqdn, begun)
		}
	}
}

// A txtAnswer is the state of the record at one address of a server.
type txtAnswer struct {
	server int
	addr   string
	state  state
	found  string
	alias  bool // found is a CNAME
	txts   []string
	ttl    time.Duration // of txts
}

type state int

const (
	silent  state = iota // no answer, or an inconclusive one
	missing              // an answer without the record
	visible
)

// poll queries one address until the record is visible there, every 15 ms at first,
// then more slowly. A negative answer of a resolver comes from its cache until its
// TTL is over, so the next query waits for that.
func (c Checker) poll(ctx context.Context, server int, addr, name string, match func([]string) bool, begun time.Time, out chan<- txtAnswer) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
		s, cached := c.queryTXT(ctx, addr, name, match)
		if ctx.Err() != nil || s.state == silent && late(ctx) {
			return
		}
		s.server, s.addr = server, addr
		select {
		case out <- s:
		case <-ctx.Done():
			return
		}
		if s.state == visible {
			return
		}
		pause.Reset(pace(time.Since(begun), cached))
	}
}

// late reports whether the deadline of ctx has passed. A query can fail for that
// reason shortly before ctx is done.
func late(ctx context.Context) bool {
	at, ok := ctx.Deadline()
	return ok && !time.Now().Before(at)
}

func pace(elapsed, cached time.Duration) time.Duration {
	const first, last = 15 * time.Millisecond, 5 * time.Second
	return min(max(elapsed/8, first, cached), last)
}

// queryTXT sends one query. cached is the remaining TTL of a negative answer.
func (c Checker) queryTXT(ctx context.Context, addr, name string, match func([]string) bool) (s txtAnswer, cached time.Duration) {
	recurse := len(c.Resolvers) > 0
	in, err := c.query(ctx, name, dns.TypeTXT, addr, recurse)
	if err != nil {
		return txtAnswer{state: silent, found: err.Error()}, 0
	}
	var txts []string
	var alias string
	var ttl time.Duration
	for _, rr := range in.Answer {
		switch rr := rr.(type) {
		case *dns.TXT:
			txts = append(txts, strings.Join(rr.Txt, ""))
			ttl = max(ttl, time.Duration(rr.Hdr.Ttl)*time.Second)
		case *dns.CNAME:
			alias = rr.Target
		}
	}
	if match(txts) {
		return txtAnswer{state: visible, txts: txts, ttl: ttl}, 0
	}
	if err := dnsquery.Check(in, recurse); err != nil {
		return txtAnswer{state: silent, found: err.Error()}, 0
	}
	if !in.Authoritative {
		cached, _ = dnsquery.NegativeTTL(in)
	}
	return txtAnswer{state: missing, found: describe(in, txts, alias), alias: len(txts) == 0 && alias != "", txts: txts, ttl: ttl}, cached
}

func describe(in *dns.Msg, txts []string, alias string) string {
	switch {
	case len(txts) > 0:
		return fmt.Sprintf("found only %s", quoteSome(txts))
	case alias != "":
		return "found a CNAME to " + alias
	case in.Rcode == dns.RcodeNameError:
		return "no such name"
	}
	return "no TXT record"
}

// quoteSome quotes up to three values, cut to a bounded length.
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
