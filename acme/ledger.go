package acme

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// What a ledger allows. The CAs' own limits are higher: Let's Encrypt signs five
// certificates for one exact set of names in a week.
const (
	orderPeriod   = 3 * time.Hour
	defaultOrders = 3000

	shortPeriod = 24 * time.Hour
	shortMost   = 2
	longPeriod  = 7 * 24 * time.Hour
	longMost    = 4

	longestLife = 100 * 365 * 24 * time.Hour // of a certificate, to reckon with
)

// A cost is what a request may take from what a CA allows.
type cost string

const (
	free         cost = ""
	anOrder      cost = "order"
	aCertificate cost = "cert"
)

// A BudgetError reports an order that was not placed: by what was ordered
// lately, something is wrong here, and the CA's own limit is near. The CA was
// not asked.
type BudgetError struct {
	CA    string
	Names []string
	Why   string
	Next  time.Time // when it will be placed
	Whole bool      // it is about the account as a whole, not about these names
}

func (e *BudgetError) Error() string {
	about := ""
	if !e.Whole {
		about = e.Names[0] + ": "
		if n := len(e.Names) - 1; n > 0 {
			about = fmt.Sprintf("%s and %s: ", e.Names[0], moreNames(n))
		}
	}
	return e.CA + ": " + about + "held back: " + e.Why
}

// Earliest is when another try may succeed.
func (e *BudgetError) Earliest() time.Time { return e.Next }

// Remedy says what the operator can do about it.
func (e *BudgetError) Remedy() string {
	at := e.Next.UTC().Format(time.RFC3339)
	if e.Whole {
		return "wait until " + at + ", or name a second CA in sign_with"
	}
	return "nothing is ordered before " + at + "; find out why these names were ordered so often, or, if it must be now: keypaird issue -force"
}

// A ledger is orders.log beside the account: what was asked of the CA lately. It
// is read and written by whoever orders, so that no fault of ours, a loop, a
// record that is lost, a second process, asks for more than it allows. What is
// noted too much costs a wait; what is noted too little costs the CA's limit, so
// each is noted before it is asked for.
type ledger struct {
	ca   string
	path string
	most int // orders in orderPeriod

	busy chan struct{} // holds a value while somebody uses what follows
	book book
}

func newLedger(ca, dir string, most int) *ledger {
	return &ledger{ca: ca, path: filepath.Join(dir, "orders.log"), most: most, busy: make(chan struct{}, 1)}
}

// A purchase is what is about to be asked of the CA.
type purchase struct {
	names   []string
	forced  bool              // by a person
	current *x509.Certificate // of this CA that is to be replaced; nil means none
	order   string            // URL; "" while there is none
}

// order notes an order, or says why it is not to be placed.
func (l *ledger) order(ctx context.Context, p purchase) error {
	return l.note(ctx, anOrder, p)
}

// certificate notes that an order is about to be finalized. It may be said again
// of the same order, which ends in one certificate however often it is asked for.
func (l *ledger) certificate(ctx context.Context, p purchase) error {
	return l.note(ctx, aCertificate, p)
}

// refusal says why a purchase is not to be made; nil if it is.
func (l *ledger) refusal(now time.Time, what cost, p purchase) error {
	var refused *BudgetError
	refuse := func(times []time.Time, period time.Duration, most int, whole bool, why string) {
		next, full := exhausted(now, times, period, most)
		if full && (refused == nil || next.After(refused.Next)) {
			refused = &BudgetError{CA: l.ca, Names: p.names, Next: next, Whole: whole, Why: fmt.Sprintf(why, most)}
		}
	}
	if what == anOrder {
		refuse(l.book.orders, orderPeriod, l.most, true, "%d orders in the last 3 hours")
	}
	if !p.forced {
		short, long := allowed(p.current)
		times := l.book.others(nameSet(p.names), orderID(p.order))
		refuse(times, shortPeriod, short, false, "%d certificates for exactly these names in the last 24 hours")
		refuse(times, longPeriod, long, false, "%d certificates for exactly these names in the last 7 days")
	}
	if refused == nil {
		return nil
	}
	return refused
}

// exhausted reports whether there were most or more events in the period before
// now, and when there will be less. Times to come count too: the clock was put
// back.
func exhausted(now time.Time, times []time.Time, period time.Duration, most int) (next time.Time, full bool) {
	n := 0
	counts := func(t time.Time) bool { return now.Sub(t).Abs() < period }
	for _, t := range times {
		if counts(t) {
			n++
		}
	}
	if n < most {
		return time.Time{}, false
	}
	counted := slices.DeleteFunc(slices.Clone(times), func(t time.Time) bool { return !counts(t) })
	slices.SortFunc(counted, time.Time.Compare)
	return counted[len(counted)-most].Add(period), true
}

// allowed says how many certificates for one set of names a day and a week may
// bring: two a lifetime, for those of a private CA that live a day or less.
func allowed(current *x509.Certificate) (short, long int) {
	short, long = shortMost, longMost
	if current == nil || !current.NotAfter.After(current.NotBefore) {
		return short, long
	}
	life := max(min(current.NotAfter.Sub(current.NotBefore), longestLife)+time.Second, time.Hour)
	twice := func(period time.Duration) int { return int((2*period + life - 1) / life) }
	return max(short, twice(shortPeriod)), max(long, twice(longPeriod))
}

// A setID stands for an exact set of names.
type setID [16]byte

// nameSet is the identity of a set of names, in whatever order and spelling.
func nameSet(names []string) setID {
	canonical := make([]string, len(names))
	for i, name := range names {
		canonical[i] = strings.ToLower(name)
		if ip := net.ParseIP(name); ip != nil {
			canonical[i] = ip.String()
		}
	}
	slices.Sort(canonical)
	sum := sha256.Sum256([]byte(strings.Join(slices.Compact(canonical), "\n")))
	return setID(sum[:len(setID{})])
}

// orderID tells orders apart; 0 is none.
func orderID(url string) uint64 {
	if url == "" {
		return 0
	}
	sum := sha256.Sum256([]byte(url))
	return cmp.Or(binary.BigEndian.Uint64(sum[:8]), 1)
}
