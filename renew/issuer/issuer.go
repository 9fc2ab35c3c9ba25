package issuer

import (
	"context"
	"crypto"
	"crypto/x509"
	"time"

	"keypaird/renew/keypair"
	"keypaird/renew/renewalinfo"
)

// An Issuer provides the certificates of one target: a CA, or the files of an
// external certificate.
type Issuer interface {
	// String returns its name.
	String() string

	// Obtain returns a new pair. The error is an *OrderError if it concerns
	// other orders too. The next Obtain resumes an interrupted one.
	Obtain(ctx context.Context, o Order) (*keypair.Pair, error)

	// Forget removes the files of the order that led to the stored certificate,
	// and reports whether there were any. They also remain if the process is
	// killed between storing the pair and Forget.
	Forget(stored *x509.Certificate) (bool, error)

	// Limit returns the limit that one more order would exceed now; the zero value
	// if there is none. current is the certificate of this issuer that the order
	// would replace; nil means none.
	Limit(current *x509.Certificate) Limit
}

// A Warmer is an Issuer that can begin what an Obtain will need.
type Warmer interface {
	// Warm is called before an Obtain, and may run beside it. Obtain reports what fails.
	Warm(ctx context.Context)
}

// A RenewalInfoFetcher is an Issuer that says when it wants certificates replaced
// (RFC 9773).
type RenewalInfoFetcher interface {
	// RenewalInfo returns the window that the CA suggests for leaf; Start is zero if
	// it suggests none. An error may have the methods Temporary() bool, which is true
	// if the next request may succeed, and Earliest() time.Time: when to ask again.
	RenewalInfo(ctx context.Context, leaf *x509.Certificate) (renewalinfo.SuggestedWindow, error)
}

// An Order is a request for a certificate to an issuer.
type Order struct {
	KeyType  string            // of the key to certify
	Have     *x509.Certificate // what is stored now; nil means nothing
	Replaces bool              // Have is this issuer's, and replaced by what is ordered
	Foreign  bool              // Have is known to be another CA's
	Key      crypto.Signer     // to certify; nil: a new one
	NewKey   bool              // the operator asked for a new one
	Forced   bool              // whatever the limit for its names
	Now      time.Time         // by the wall clock
	Step     func(string)      // receives what is being done
}

// An OrderError is a failure of one CA.
type OrderError struct {
	TryNextCA bool // another CA may do better
	CAWide    bool // every order at this CA would fail now
	Here      bool // another machine may do better
	Held      bool // this machine may not order any more: the CA did not fail, and nothing is recorded
	Err       error
}

func (e *OrderError) Error() string { return e.Err.Error() }

func (e *OrderError) Unwrap() error { return e.Err }

// FailsHere reports whether another machine may succeed where this one fails, for the
// backoff.
func (e *OrderError) FailsHere() bool { return e.Here }

// TryNext reports whether another CA may succeed, for the backoff.
func (e *OrderError) TryNext() bool { return e.TryNextCA }

// A Limit says why something is not done now: a CA is not asked for a certificate because
// it was asked often enough, or another machine orders. The zero value keeps from nothing.
type Limit struct {
	Until time.Time // when it may be done; zero where Err is set: that is not known
	Err   error     // why; has a method Remedy
}
