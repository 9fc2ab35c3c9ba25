package dns01

import (
	"log/slog"
	"time"
)

// A server is asked at all of its addresses.
type server struct {
	name  string
	addrs []string // host:port
}

// A tally sums up what the servers show.
type tally struct {
	servers []server
	fair    time.Time // until then a silent server may still wake up
	once    bool      // the first thing a server shows counts
	all     bool      // no server is passed over
	seen    map[place]sighting
	quiet   map[place]int // silences in a row
}

type place struct {
	server int
	addr   string
}

// fairTries is how often in a row a server must have been silent to be passed
// over.
const fairTries = 2

func (t *tally) add(s sighting) {
	if t.seen == nil {
		t.seen, t.quiet = map[place]sighting{}, map[place]int{}
	}
	at := place{s.server, s.addr}
	t.seen[at] = s
	if t.quiet[at]++; s.state != silent {
		t.quiet[at] = 0
	}
}

// of sums up one server: missing if any address misses the record, else shown
// if any shows it, else silent. known is false while an address that might
// still speak has not.
func (t *tally) of(i int, now time.Time) (s sighting, known bool) {
	s = sighting{server: i, state: silent, saw: "its name has no address"}
	known = true
	for _, addr := range t.servers[i].addrs {
		one, ok := t.seen[place{i, addr}]
		switch {
		case !ok:
			known = false
		case one.state == missing:
			return one, true
		case one.state == shown:
			s = one
		case s.state == silent:
			s = one
			known = known && t.quiet[place{i, addr}] >= fairTries
		}
	}
	if s.state == shown {
		return s, true
	}
	return s, known && now.After(t.fair)
}

// verdict says whether more waiting is of no use.
func (t *tally) verdict(now time.Time) bool {
	shows := 0
	for i := range t.servers {
		s, known := t.of(i, now)
		switch {
		case !known:
			return false
		case s.state == shown:
			shows++
		case s.state == missing && t.once:
			return true
		case s.state == missing, t.all && !t.once:
			return false
		}
	}
	return shows > 0 || t.once
}

// result is called when the verdict is in.
func (t *tally) result(fqdn string, begun time.Time, log *slog.Logger) error {
	now := time.Now()
	for i := range t.servers {
		if s, _ := t.of(i, now); s.state == missing || s.state == silent && t.all {
			return t.failure(fqdn, begun)
		}
	}
	var passed []sighting
	for i := range t.servers {
		if s, _ := t.of(i, now); s.state == silent {
			passed = append(passed, s)
		}
	}
	if len(passed) == len(t.servers) {
		return t.failure(fqdn, begun)
	}
	for _, s := range passed {
		log.Warn("name server passed over", "fqdn", fqdn, "server", t.servers[s.server].name, "why", s.saw)
	}
	return nil
}

// failure names the server that is furthest from showing the record.
func (t *tally) failure(fqdn string, begun time.Time) *PropagationError {
	worst := sighting{state: shown}
	blocked := true
	for i := range t.servers {
		s, _ := t.of(i, time.Now())
		blocked = blocked && s.state == silent
		if worst.state == shown || s.state == missing && worst.state == silent {
			worst = s
		}
	}
	e := &PropagationError{FQDN: fqdn, Saw: worst.saw, After: time.Since(begun), Blocked: blocked}
	e.Server = t.servers[worst.server].name
	if worst.addr != "" && worst.addr != e.Server {
		e.Server += " (" + worst.addr + ")"
	}
	return e
}
