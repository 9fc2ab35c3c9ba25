package engine

import (
	"context"
	"errors"
	"iter"
	"time"
)

// An Engine stores values by key. Its methods may be called concurrently. Each commit
// that changes something has a revision of its own, higher than those before, unless the
// engine was restored from a backup.
type Engine interface {
	// Commit performs all of do if all of conditions hold, or nothing. No two of do
	// have one key. The error is a *ConditionError if a condition does not hold. After
	// any other error the commit may have happened or may happen later, once: the
	// caller reads what is there.
	Commit(ctx context.Context, conditions []Condition, do []Op) (Revision, error)

	// Read returns all entries with a key that begins with prefix, sorted by key, at
	// one revision, which is not older than the call.
	Read(ctx context.Context, prefix string) (Snapshot, error)

	// Follow returns the changes after a revision to keys that begin with one of
	// prefixes: those of each prefix in their order, and those of one commit to it
	// without an error between them. Changes to different prefixes may come in another
	// order than they happened: a caller that goes on where it was follows each prefix
	// by a call of its own, or reads again. Follow ends with an error: ErrGap if some
	// changes are lost, so that the caller must Read again.
	Follow(ctx context.Context, prefixes []string, after Revision) iter.Seq2[Change, error]

	// Lease returns a lease that lasts for ttl after the last time it was renewed,
	// which happens by itself until it ends.
	Lease(ctx context.Context, ttl time.Duration) (Lease, error)
}

// A Revision numbers the states of an engine.
type Revision int64

// A Condition holds if Key has Value; with a nil Value, if there is no such key.
type Condition struct {
	Key   string
	Value []byte
}

// An Op sets Key to Value, or deletes it if Value is nil. A key with a lease is
// deleted when that ends.
type Op struct {
	Key   string
	Value []byte
	Lease LeaseID // 0: none
}

// An Entry is a key with its value.
type Entry struct {
	Key      string
	Value    []byte
	Revision Revision // at which it was set
}

// A Snapshot contains the entries at a revision.
type Snapshot struct {
	Revision Revision
	Entries  []Entry // sorted by key
}

// A Change is an entry that was set, or deleted if its Value is nil.
type Change = Entry

// A LeaseID identifies a lease in its engine.
type LeaseID int64

// A Lease keeps keys while its owner lives.
type Lease interface {
	ID() LeaseID

	// Renewed returns when the last request was sent that the engine confirmed, by
	// the monotonic clock: the lease lasts at least until ttl after it.
	Renewed() time.Time

	// Lost is closed once the lease has ended or is no longer renewed.
	Lost() <-chan struct{}

	// End ends the lease now, with its keys.
	End(ctx context.Context) error
}

// ErrGap says that changes after a revision are lost, because they were compacted or
// because the engine was restored from a backup.
var ErrGap = errors.New("some changes are no longer known")

// A ConditionError says which condition of a commit did not hold.
type ConditionError struct{ Key string }

func (e *ConditionError) Error() string { return "the engine has another value of " + e.Key }
