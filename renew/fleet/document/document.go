package document

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"keypaird/renew/fleet/engine"
)

// Format is the format of the documents that this version writes. A fleet of a newer one
// is left alone.
const Format = 1

// A Fleet says which fleet a prefix of an engine belongs to.
type Fleet struct {
	ID     string `json:"id"` // by NewID
	Format int    `json:"format"`
}

func (f *Fleet) check() error {
	switch {
	case f.Format > Format:
		return fmt.Errorf("the fleet has format %d, which a newer keypaird wrote; this one knows %d", f.Format, Format)
	case f.Format < 1 || !IsID(f.ID):
		return errors.New("it has no id of a fleet")
	}
	return nil
}

// A Release says which pair of a target is the newest, and who may deploy it.
type Release struct {
	Serial      uint64    `json:"serial"`          // grows by one with each release of the target
	Version     string    `json:"version"`         // of pairs/TARGET/VERSION
	Fingerprint string    `json:"fingerprint"`     // SHA-256 of the leaf, as keypaird status shows it
	NotAfter    time.Time `json:"not_after"`       // of the leaf
	Wave        int       `json:"wave,omitempty"`  // index of the wave that may deploy now
	Nodes       []string  `json:"nodes,omitempty"` // who may deploy now, sorted; with All it is empty
	All         bool      `json:"all,omitempty"`
	At          time.Time `json:"at"`                // when this wave began
	Held        string    `json:"held,omitempty"`    // why it is not widened; "": it is not held
	Stopped     bool      `json:"stopped,omitempty"` // held by a person, who lets it go
}

func (r *Release) check() error {
	r.Held = Clean(r.Held)
	switch {
	case r.Serial == 0:
		return errors.New("the release has no serial")
	case !isHex(r.Fingerprint, 64):
		return fmt.Errorf("%.80q is not a fingerprint", r.Fingerprint)
	case r.Wave < 0 || r.Wave > maxNodes:
		return fmt.Errorf("there is no wave %d", r.Wave)
	case r.All && len(r.Nodes) > 0:
		return errors.New("the release is for all, and for some nodes")
	case len(r.Nodes) > maxNodes || !slices.IsSorted(r.Nodes) || len(slices.Compact(slices.Clone(r.Nodes))) != len(r.Nodes):
		return errors.New("the nodes of the release are not sorted, or too many")
	}
	return errors.Join(CheckName(r.Version), checkTime(r.NotAfter), checkTime(r.At), each(r.Nodes, CheckName))
}

// A Sealed says who could open the private key that is sealed beside a body.
type Sealed struct {
	// Nodes are those that it is sealed to, or once was, sorted; none: not known.
	Nodes []string `json:"nodes,omitempty"`
}

func (s *Sealed) check() error {
	if len(s.Nodes) > maxNodes {
		return fmt.Errorf("it is sealed to %d nodes", len(s.Nodes))
	}
	return each(s.Nodes, CheckName)
}

// Had reports whether a node could ever open the private key, as far as that is known.
func (s Sealed) Had(node string) bool { return len(s.Nodes) == 0 || slices.Contains(s.Nodes, node) }

// A Pair is a certificate chain; the private key is sealed beside it.
type Pair struct {
	Chain      string `json:"chain"`                // PEM, leaf first
	Recipients string `json:"recipients,omitempty"` // sum of the keys that the private key is sealed to
	Sealed
}

func (p *Pair) check() error {
	switch {
	case p.Chain == "" || len(p.Chain) > maxChain || strings.ContainsRune(p.Chain, 0):
		return fmt.Errorf("the chain of the pair has %d bytes, or a null character", len(p.Chain))
	case len(p.Recipients) > 64:
		return errors.New("the sum of its recipients is too long")
	}
	return p.Sealed.check()
}

// A Record is the half of record.json that is about ordering; the next key (DANE) is
// sealed beside it.
type Record struct {
	Ordering json.RawMessage `json:"ordering"`
	Sealed
}

func (r *Record) check() error {
	if len(r.Ordering) == 0 || len(r.Ordering) > maxChain {
		return fmt.Errorf("the record has %d bytes", len(r.Ordering))
	}
	return r.Sealed.check()
}

// An Order is an order under way; order.json is sealed beside it.
type Order struct {
	Placed bool `json:"placed,omitempty"` // the CA has it
	Sealed
}

// An Account is an account at a CA: all of it is sealed.
type Account struct {
	Parts map[string][]byte `json:"parts"` // by the names of its files
}

func (a *Account) check() error {
	if len(a.Parts) == 0 || len(a.Parts) > 16 {
		return fmt.Errorf("the account has %d parts", len(a.Parts))
	}
	for name, data := range a.Parts {
		if CheckName(name) != nil || len(data) > maxChain {
			return fmt.Errorf("the account has a part %.80q of %d bytes", name, len(data))
		}
	}
	return nil
}

// An OrderLog lists the orders for one set of names at one CA.
type OrderLog struct {
	Lines []string `json:"lines"` // of orders.log, without line ends
}

func (l *OrderLog) check() error {
	if len(l.Lines) > maxLines {
		return fmt.Errorf("the order log has %d lines", len(l.Lines))
	}
	return each(l.Lines, func(line string) error {
		if len(line) == 0 || len(line) > 200 || strings.ContainsFunc(line, func(c rune) bool { return c < ' ' || c > '~' }) {
			return fmt.Errorf("%.40q is not a line of an order log", line)
		}
		return nil
	})
}

// CountPeriod is what a Count covers.
const CountPeriod = 5 * time.Minute

// Counts are the numbers of orders at one CA in the last hours.
type Counts struct {
	Orders []Count `json:"orders"` // sorted by time
}

// A Count is the number of orders in the five minutes from At on, at a full multiple.
type Count struct {
	At time.Time `json:"at"`
	N  int       `json:"n"`
}

func (c *Counts) check() error {
	if len(c.Orders) > maxLines {
		return fmt.Errorf("there are %d counts of orders", len(c.Orders))
	}
	var last time.Time
	for _, n := range c.Orders {
		switch err := checkTime(n.At); {
		case err != nil:
			return err
		case n.N < 1 || n.N > maxNumber || !n.At.Equal(n.At.Truncate(CountPeriod)) || !n.At.After(last):
			return fmt.Errorf("%d orders at %s is not a count", n.N, n.At.UTC().Format(time.RFC3339))
		}
		last = n.At
	}
	return nil
}

// A Token is the response at tokens/TOKEN (RFC 8555, section 8.3).
type Token struct {
	KeyAuthorization string `json:"key_authorization"`
}

func (t *Token) check() error {
	token, thumbprint, _ := strings.Cut(t.KeyAuthorization, ".")
	if checkToken(token) != nil || len(thumbprint) != 43 || strings.ContainsFunc(thumbprint, notBase64) {
		return fmt.Errorf("%.40q is not a key authorization", t.KeyAuthorization)
	}
	return nil
}

// For reports whether the key authorization is for a token.
func (t Token) For(token string) bool { return strings.HasPrefix(t.KeyAuthorization, token+".") }

// A TXT notes a record of a dns-01 challenge before it is presented. The node that sits next
// removes a record that a dead node left.
type TXT struct {
	Account          string `json:"account"` // name of the [dns] table
	FQDN             string `json:"fqdn"`
	Value            string `json:"value"`
	Domain           string `json:"domain"`
	Token            string `json:"token"`
	KeyAuthorization string `json:"key_authorization"`
}

func (t *TXT) check() error {
	if !(Token{t.KeyAuthorization}).For(t.Token) {
		return fmt.Errorf("%.40q is not a key authorization for %.40q", t.KeyAuthorization, t.Token)
	}
	return each([]string{t.Account, t.FQDN, t.Value, t.Domain, t.Token, t.KeyAuthorization}, func(s string) error {
		if s == "" || len(s) > maxText || s != Clean(s) {
			return fmt.Errorf("%.40q is no part of a TXT record", s)
		}
		return nil
	})
}

// An Alive says that a node lives.
type Alive struct {
	Boot    string            `json:"boot"`              // differs between machines with one name, and after each start
	Machine string            `json:"machine,omitempty"` // machine and state directory, which one process has at a time; "": not known
	Version string            `json:"version"`
	Clock   time.Time         `json:"clock"`
	Targets map[string]string `json:"targets,omitempty"` // orderers only: sum of each target's configuration
}

func (a *Alive) check() error {
	a.Version = Clean(a.Version)
	if a.Boot == "" || len(a.Boot) > 64 || strings.ContainsFunc(a.Boot, notBase64) {
		return fmt.Errorf("%.80q is not the id of a boot", a.Boot)
	}
	if len(a.Machine) > 64 || strings.ContainsFunc(a.Machine, notBase64) {
		return fmt.Errorf("%.80q is not the id of a machine", a.Machine)
	}
	for target, sum := range a.Targets {
		if checkTarget(target) != nil || len(sum) > 64 || strings.ContainsFunc(sum, notBase64) {
			return fmt.Errorf("%.80q is not the sum of target %.80q", sum, target)
		}
	}
	return checkTime(a.Clock)
}

// A Report says what a node serves.
type Report struct {
	Revision   engine.Revision      `json:"revision"`             // every release of the node's targets that it covers is verified, but for
	Exceptions map[string]Exception `json:"exceptions,omitempty"` // by target
	Waits      string               `json:"waits,omitempty"`      // why the node leaves ordering to others now; "": it does not
	Newer      map[string][]byte    `json:"newer,omitempty"`      // releases that the engine had and lost, signed, by target
	Unreleased []string             `json:"unreleased,omitempty"` // targets of which an orderer has a newer pair than the release, sorted
	Clocks     map[string]int       `json:"clocks,omitempty"`     // of nodes that an orderer heard, and that differ by more than a minute: seconds ahead of its own

	// Seen is the latest At of the node's releases that were set up to Revision: the owner
	// of an engine chooses revisions, and could pass an old report for one of a new release.
	// A report without it covers no release.
	Seen time.Time `json:"seen,omitzero"`
}

// Covers reports whether a node knew a release that was set at a revision when it made the
// report.
func (r Report) Covers(release Release, set engine.Revision) bool {
	return set <= r.Revision && !release.At.After(r.Seen)
}

// An Exception is a release that a node does not serve verified.
type Exception struct {
	Serial   uint64    `json:"serial"`
	Failures int       `json:"failures,omitempty"`
	Err      string    `json:"error,omitempty"` // "": under way or waiting
	At       time.Time `json:"at"`
}

func (r *Report) check() error {
	r.Waits = Clean(r.Waits)
	if r.Revision < 0 {
		return fmt.Errorf("there is no revision %d", r.Revision)
	}
	if len(r.Clocks) > maxLines {
		return fmt.Errorf("%d clocks are too many", len(r.Clocks))
	}
	if len(r.Unreleased) > maxLines {
		return fmt.Errorf("%d targets with a pair newer than the release are too many", len(r.Unreleased))
	}
	for target, e := range r.Exceptions {
		e.Err = Clean(e.Err)
		r.Exceptions[target] = e
		if e.Serial == 0 || e.Failures < 0 || e.Failures > maxNumber {
			return fmt.Errorf("release %d of %.80q with %d failures is no exception", e.Serial, target, e.Failures)
		}
		if err := errors.Join(checkTarget(target), checkTime(e.At)); err != nil {
			return err
		}
	}
	return errors.Join(each(slices.Collect(maps.Keys(r.Newer)), checkTarget), each(r.Unreleased, checkTarget))
}

// Limits of values that are read. Real values are far below.
const (
	maxNodes  = 10_000
	maxLines  = 10_000
	maxNumber = 1_000_000_000
	maxChain  = 256 << 10
	maxText   = 1000 // characters of a message
)

// A body is a document that checks itself.
type body[T any] interface {
	*T
	check() error
}

// Parse reads the body of a message: Parse[Release](message.Body).
func Parse[T any, B body[T]](data []byte) (T, error) {
	var value, none T
	if len(data) == 0 {
		return none, errors.New("it has no body")
	}
	if err := json.Unmarshal(data, &value); err != nil {
		return none, fmt.Errorf("it is no %T: %w", value, err)
	}
	if err := B(&value).check(); err != nil {
		return none, err
	}
	return value, nil
}

// checkTime refuses times that nobody can have meant.
// CheckTime refuses times that a clock shows which was never set.
func CheckTime(t time.Time) error { return checkTime(t) }

func checkTime(t time.Time) error {
	if t.Year() < 2020 || t.Year() > 2999 {
		return fmt.Errorf("the year is %d", t.Year())
	}
	return nil
}

func each(list []string, check func(string) error) error {
	for _, s := range list {
		if err := check(s); err != nil {
			return err
		}
	}
	return nil
}

// Clean returns a text in one line that can be shown, cut to a sensible length.
func Clean(s string) string {
	s = strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return ' '
	}, s)
	if r := []rune(s); len(r) > maxText {
		return string(r[:maxText]) + "..."
	}
	return s
}
