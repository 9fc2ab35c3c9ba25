package dns01

import (
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// A server is queried at each of its addresses.
type server struct {
	name  string
	addrs []string // host:port
}

// A summary decides whether the record is visible, from the last answer of each
// address.
type summary struct {
	servers    []server
	graceEnd   time.Time // until then every silent server is waited for
	single     bool      // the first answer of a server is final
	requireAll bool      // no server is skipped
	answers    map[address]txtAnswer
	silences   map[address]int // in a row
}

type address struct {
	server int
	addr   string
}

// minSilences is how many queries in a row a server must leave unanswered to be
// skipped.
const minSilences = 2

func (t *summary) add(s txtAnswer) {
	if t.answers == nil {
		t.answers, t.silences = map[address]txtAnswer{}, map[address]int{}
	}
	at := address{s.server, s.addr}
	t.answers[at] = s
	if t.silences[at]++; s.state != silent {
		t.silences[at] = 0
	}
}

// of returns the state of one server: missing if any address lacks the record, else
// visible if any has it, else silent. known is false while the state may change.
func (t *summary) of(i int, now time.Time) (s txtAnswer, known bool) {
	s = txtAnswer{server: i, state: silent, found: "its name has no address"}
	known = true
	for _, addr := range t.servers[i].addrs {
		one, ok := t.answers[address{i, addr}]
		switch {
		case !ok:
			known = false
		case one.state == missing:
			return one, true
		case one.state == visible:
			s = one
		case s.state == silent:
			s = one
			known = known && t.silences[address{i, addr}] >= minSilences
		}
	}
	if s.state == visible {
		return s, true
	}
	return s, known && now.After(t.graceEnd)
}

// decided reports whether further waiting cannot change the result.
func (t *summary) decided(now time.Time) bool {
	shows := 0
	for i := range t.servers {
		s, known := t.of(i, now)
		switch {
		case !known:
			return false
		case s.state == visible:
			shows++
		case s.state == missing && t.single:
			return true
		case s.state == missing, t.requireAll && !t.single:
			return false
		}
	}
	return shows > 0 || t.single
}

// result returns nil if the record is visible. It is called once decided.
func (t *summary) result(fqdn string, begun time.Time, log *slog.Logger) error {
	now := time.Now()
	for i := range t.servers {
		if s, _ := t.of(i, now); s.state == missing || s.state == silent && t.requireAll {
			return t.failure(fqdn, begun)
		}
	}
	var skipped []txtAnswer
	for i := range t.servers {
		if s, _ := t.of(i, now); s.state == silent {
			skipped = append(skipped, s)
		}
	}
	if len(skipped) == len(t.servers) {
		return t.failure(fqdn, begun)
	}
	for _, s := range skipped {
		log.Warn("name server skipped", "fqdn", fqdn, "server", t.servers[s.server].name, "err", s.found)
	}
	return nil
}

// failure returns the error for a server that lacks the record, or else for one that
// is silent.
func (t *summary) failure(fqdn string, begun time.Time) *PropagationError {
	worst := txtAnswer{state: visible}
	blocked := true
	for i := range t.servers {
		s, _ := t.of(i, time.Now())
		blocked = blocked && s.state == silent
		if worst.state == visible || s.state == missing && worst.state == silent {
			worst = s
		}
	}
	e := &PropagationError{FQDN: fqdn, Found: worst.found, Alias: worst.alias, After: time.Since(begun), Blocked: blocked}
	e.Server = t.servers[worst.server].name
	if worst.addr != "" && worst.addr != e.Server {
		e.Server += " (" + worst.addr + ")"
	}
	return e
}

// A PropagationError reports a published record that did not become visible.
type PropagationError struct {
	FQDN    string
	Server  string // without the record; may be empty
	Found   string // in place of the record
	Alias   bool   // Found is a CNAME
	After   time.Duration
	Blocked bool // no server gave any answer
}

func (e *PropagationError) Error() string {
	at := ""
	if e.Server != "" {
		at = " at " + e.Server
	}
	return fmt.Sprintf("TXT record of %s not visible%s after %s: %s", e.FQDN, at, e.After.Round(time.Second), e.Found)
}

// Remedy depends on whether any server answered.
func (e *PropagationError) Remedy() string {
	if e.Blocked {
		return "allow UDP and TCP to port 53, or set resolvers in the account's [dns] table to reachable servers that have the records the CA gets"
	}
	if e.Alias {
		return "remove the CNAME of " + e.FQDN + ", or if a wildcard beside it has the same one, let the CNAME lead to another name than that wildcard"
	}
	check := "dig TXT " + e.FQDN
	if host, _, ok := strings.Cut(e.Server, " "); ok {
		check += " @" + host
	}
	return "check with: " + check + "; if the provider is only slow, raise propagation in the account's [dns] table"
}
