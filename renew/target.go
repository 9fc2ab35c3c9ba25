// Package renew decides which certificates need work and carries each one
// through the same short line of steps:
//
//	look -> decide -> obtain -> store -> install -> reload -> verify -> record
//
// [Decide] is a pure function; a [Pass] looks at targets once and does what was
// decided; a [Loop] makes passes for years. The package speaks neither ACME nor
// DNS, and knows no proxies: it calls them through the small interfaces
// [Obtainer], [Limiter], [Advisor], [Resolver] and [Deployer], which cmd/keypaird
// fills in from the configuration. What it does know is which words of the configuration a remedy has to name.
package renew

import (
	"context"
	"crypto"
	"crypto/x509"
	"strings"
	"time"

	"keypaird/renew/keypair"
)

// A Target is one certificate to keep alive.
type Target struct {
	Name    string            // required; of its directory under certs/
	Names   []string          // required; what the certificate is for, normalised
	KeyType string            // required; ec256 ec384 rsa2048 rsa3072 rsa4096
	CAs     []string          // required; in the order they are tried
	Profile string            // "" lets the CA choose
	Deploy  []string          // deployments, by name; may be empty
	Manner  map[string]Manner // by deployment; may be empty
	TLSA    []string          // names of TLSA records by which peers know the key; may be empty

	// External: the certificate is bought, and never ordered. Names, KeyType, CAs
	// and Profile say nothing then. nil: it is ordered.
	External *External
}

// A Manner is how a deployment is done: where it is not how the last one was
// done, the pair is deployed again.
type Manner struct {
	Sum  string // of the configuration, in a form of the caller's
	Lost bool   // a file that the deployment wrote is not there
}

// An Order is what one CA is asked for.
type Order struct {
	Target   Target
	CA       string
	Have     *x509.Certificate // what is stored now; nil means nothing
	Replaces bool              // Have is this CA's, and replaced by what is ordered
	Foreign  bool              // Have is known to be another CA's
	Key      crypto.Signer     // to certify, of the target's type; nil: a new one
	Forced   bool              // whatever the limit for its names
	Step     func(string)      // told what is being done
}

// An Obtainer gets certificates.
type Obtainer interface {
	// Obtain returns a new pair, or an error, an *OrderError if that says
	// something of other orders. An interrupted Obtain is resumed by the next.
	Obtain(ctx context.Context, o Order) (*keypair.Pair, error)

	// Settle removes what is left of an order that ended in have, when the
	// process was killed between storing the pair and forgetting the order.
	Settle(t Target, have *x509.Certificate) error
}

// An OrderError is a failure of one CA.
type OrderError struct {
	Elsewhere bool // another CA may do better
	Everyone  bool // every order at this CA would fail now
	Err       error
}

func (e *OrderError) Error() string { return e.Err.Error() }

func (e *OrderError) Unwrap() error { return e.Err }

// A Limiter knows how often certificates were ordered.
type Limiter interface {
	// Limit returns the limit that an order of t's names at ca would exceed now;
	// the zero value if there is none. current is the certificate of ca that the
	// order would replace; nil means none.
	Limit(t Target, ca string, current *x509.Certificate) Limit
}

// A Limit says that a CA is not asked for a certificate because it was asked often
// enough.
type Limit struct {
	Until time.Time // when it may be asked; zero: now
	Err   error     // why; knows a Remedy
}

// An Advisor asks a CA when it wants a certificate replaced (RFC 9773).
type Advisor interface {
	// Advise returns the window that ca suggests for leaf. Without a window it
	// gives no such advice. An error that is Temporary is one of the moment; one
	// that knows the Earliest time says when to ask again.
	Advise(ctx context.Context, ca string, leaf *x509.Certificate) (Window, error)
}

// A Window is when a CA wants a certificate replaced.
type Window struct {
	Start, End  time.Time // zero: the CA does not say
	Explanation string    // URL of a page for people; may be ""
	Next        time.Time // when to ask again
}

// A Deployer takes pairs to the programs that serve them.
type Deployer interface {
	// Deploy installs the changes and reloads once. Without an error all are
	// Verified; with one the outcomes tell, by change, how far each got. Where
	// targets failed for reasons of their own, the error is a *DeployError.
	Deploy(ctx context.Context, deployment string, changes []Change) ([]Outcome, error)
}

// A DeployError is a deployment that failed in more than one way.
type DeployError struct {
	Failures []DeployFailure // at least one; a target is in one at most
}

// A DeployFailure is what failed for some targets of a deployment.
type DeployFailure struct {
	Targets []string // by name; at least one
	Err     error
}

func (e *DeployError) Error() string {
	list := make([]string, len(e.Failures))
	for i, f := range e.Failures {
		list[i] = f.Err.Error()
	}
	return strings.Join(list, "; ")
}

// Unwrap lists the reasons.
func (e *DeployError) Unwrap() []error {
	list := make([]error, len(e.Failures))
	for i, f := range e.Failures {
		list[i] = f.Err
	}
	return list
}

// An Outcome is how far a change got in a deployment.
type Outcome int

// Outcomes.
const (
	TakenBack Outcome = iota // what was in place before is in place
	Placed                   // the new pair is in place; whether it is used is not known
	InUse                    // the new pair is used, but was not seen everywhere
	Verified                 // all is well
)

// A Change is one target's new pair on its way to a deployment.
type Change struct {
	Name     string
	Names    []string
	New      *keypair.Pair
	Dir      string        // of the new version
	Previous *keypair.Pair // what to go back to; nil: nothing
	Restore  func() error  // switches live back to Previous; nil: nothing to switch
	// WasVerified: Previous was seen served by this deployment.
	WasVerified bool
	NextTry     time.Time // of this deployment, if it fails
	Deployed    bool      // was installed and reloaded before; only verification is missing
}
