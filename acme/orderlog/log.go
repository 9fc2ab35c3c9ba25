package orderlog

import (
	"cmp"
	"context"
	"crypto/x509"
	"os"
	"path/filepath"
	"sync"
	"time"

	"keypaird/renew/durable"
)

// A Kind is a request that the log counts, by its name in RFC 8555.
type Kind string

// Kinds.
const (
	NewOrder Kind = "newOrder" // section 7.4
	Finalize Kind = "finalize" // the certificate is issued then
)

// A Request is about to be sent to the CA.
type Request struct {
	Names   []string          // required; to certify
	Current *x509.Certificate // of this CA, which the new one replaces; nil means none
	Order   string            // URL; "" while there is none
	Target  string            // what the operator calls the certificate, for errors
	Force   bool              // requested by the operator: no limit for these names applies
}

// Options configure a Log.
type Options struct {
	CA        string           // required; its name, for errors
	Dir       string           // required; of the account, made if missing
	MaxOrders int              // in three hours; zero means 3000
	Clock     func() time.Time // the wall clock; nil means time.Now
}

// A Log is orders.log of one account. Several processes may use one file. Its
// methods may be called concurrently.
type Log struct {
	ca        string
	path      string
	maxOrders int
	clock     func() time.Time

	queue chan struct{} // holds a value while the file is locked

	mu     sync.Mutex
	events events
}

const defaultMaxOrders = 3000

// New returns a Log. It touches no disk.
func New(o Options) *Log {
	return &Log{
		ca: o.CA, path: filepath.Join(o.Dir, "orders.log"), maxOrders: cmp.Or(o.MaxOrders, defaultMaxOrders),
		clock: o.Clock, queue: make(chan struct{}, 1),
	}
}

// Reserve notes that a request of a kind is about to be sent. It must not be sent
// if Reserve returns an error, which is a [RateLimitError] if it would exceed a
// limit. An order may be finalized again: that is one certificate.
func (l *Log) Reserve(ctx context.Context, kind Kind, r Request) error {
	return l.locked(ctx, func(f *os.File, now time.Time) error {
		e := event{now.UTC().Truncate(time.Second), kind, hashNames(r.Names), hashURL(r.Order)}
		if err := l.exceeded(now, kind, r); err != nil {
			return err
		}
		if kind == Finalize && l.events.noted(e) {
			return nil
		}
		if err := l.events.write(f, e); err != nil {
			return l.unusable(ctx, err)
		}
		l.events.add(e, now)
		if !l.events.mostlyOld() {
			return nil
		}
		return l.rewrite(ctx, now)
	})
}

// locked calls do with the file, which it has read, while no other process may change it.
func (l *Log) locked(ctx context.Context, do func(f *os.File, now time.Time) error) error {
	select {
	case l.queue <- struct{}{}:
		defer func() { <-l.queue }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	f, info, err := l.lock(ctx)
	if err != nil {
		return l.unusable(ctx, err)
	}
	defer f.Close() // and so unlocks it
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if err := l.events.read(f, info, now); err != nil {
		return l.unusable(ctx, err)
	}
	return do(f, now)
}

// rewrite replaces the file by the lines that still count.
func (l *Log) rewrite(ctx context.Context, now time.Time) error {
	l.events.prune(now)
	if err := durable.WriteFile(l.path, l.events.lines(), durable.Private); err != nil {
		return l.unusable(ctx, err)
	}
	l.events.file = nil // it is read again
	return nil
}

// Limit returns the [RateLimitError] with which Reserve would refuse the next
// request, newOrder if there is no order yet, or nil. It notes nothing. A file that
// cannot be read is no limit here: Reserve then fails and says why.
func (l *Log) Limit(r Request) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if l.readUnlocked(now) != nil {
		return nil
	}
	if r.Order != "" {
		return l.exceeded(now, Finalize, r)
	}
	return l.exceeded(now, NewOrder, r)
}

// Finalized reports whether a finalize request for an order was noted. A file that
// cannot be read has none: Reserve then fails and says why.
func (l *Log) Finalized(order string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.readUnlocked(l.now()) == nil && l.events.finalized(hashURL(order))
}

func (l *Log) now() time.Time {
	if l.clock != nil {
		return l.clock()
	}
	return time.Now().Round(0) // without the monotonic clock, which stands still in suspend
}
