package renew

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"slices"
	"strings"
	"time"

	"keypaird/renew/durable"
	"keypaird/renew/keypair"
	"keypaird/renew/problem"
	"keypaird/renew/rollover"
)

// A Target is one certificate to keep alive.
type Target struct {
	Name    string                // required; of its directory under certs/
	Names   []string              // required; what the certificate is for, normalised
	KeyType string                // required; ec256 ec384 rsa2048 rsa3072 rsa4096
	CAs     []string              // required; in the order they are tried
	Profile string                // "" lets the CA choose
	Deploy  []string              // deployments, by name; may be empty
	Specs   map[string]DeploySpec // by deployment; may be empty
	TLSA    []string              // names of TLSA records by which peers know the key; may be empty

	// External: the certificate comes from files, and is never ordered. Names, KeyType, CAs
	// and Profile say nothing then. nil: it is ordered.
	External *External
}

// A DeploySpec says how a deployment is done: where that changed since the last
// one, the pair is deployed again.
type DeploySpec struct {
	ConfigHash   string // of what the configuration says of it
	FilesMissing bool   // a file that the deployment wrote is not there
}

// An External is where a target's certificate comes from that somebody else
// obtains: a vendor, or a CA without ACME. It is never ordered. Its
// files are copied into the store when they have changed, and what is there goes
// the way of all pairs from then on. A pair that cannot be used is not copied;
// the one before stays.
type External struct {
	keypair.Source
	Mark string // of the files as they are
}

// ReplaceRemedy is what can be done about an external certificate that ends.
func (x *External) ReplaceRemedy() string {
	return x.Replace() + ", or have keypaird obtain one: http-01 or dns-01 instead of external"
}

// Read is that of the [keypair.Source], with remedies that name what can be
// written in the configuration.
func (x *External) Read(now time.Time) (*keypair.Pair, string, error) {
	p, mark, err := x.Source.Read(now)
	if err != nil {
		err = &filesError{err, x}
	}
	return p, mark, err
}

// A filesError is an error of files that the configuration names.
type filesError struct {
	error
	files *External
}

func (e *filesError) Unwrap() error { return e.error }

// Remedy says what the operator can do about it.
func (e *filesError) Remedy() string {
	var dates *keypair.DateError
	switch {
	case errors.As(e.error, &dates) && !dates.Now.Before(dates.NotAfter):
		return e.files.ReplaceRemedy()
	case errors.Is(e.error, fs.ErrNotExist):
		return "put it there, or correct external in the configuration"
	}
	return Remedy(e.error)
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
	Step     func(string)      // receives what is being done
}

// An Obtainer gets certificates.
type Obtainer interface {
	// Obtain returns a new pair, or an error, an *OrderError if that says
	// something of other orders. An interrupted Obtain is resumed by the next.
	Obtain(ctx context.Context, o Order) (*keypair.Pair, error)

	// ForgetOrder removes what is left of an order that ended in have, when the
	// process was killed between storing the pair and forgetting the order.
	ForgetOrder(t Target, have *x509.Certificate) error
}

// An OrderError is a failure of one CA.
type OrderError struct {
	TryNextCA bool // another CA may do better
	CAWide    bool // every order at this CA would fail now
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

// A RenewalInfoFetcher asks a CA when it wants a certificate replaced (RFC 9773).
type RenewalInfoFetcher interface {
	// FetchRenewalInfo returns the window that ca suggests for leaf. Without a window it
	// suggests none. An error that is Temporary is one of the moment; one
	// that knows the Earliest time says when to ask again.
	FetchRenewalInfo(ctx context.Context, ca string, leaf *x509.Certificate) (SuggestedWindow, error)
}

// A SuggestedWindow is when a CA wants a certificate replaced.
type SuggestedWindow struct {
	Start, End  time.Time // zero: the CA does not say
	Explanation string    // URL of a page for the operator; may be ""
	Next        time.Time // when to ask again
}

// A Resolver queries TLSA records.
type Resolver interface {
	// TLSA returns what is published at a name of t's TLSA records. An error
	// means that it is not known.
	TLSA(ctx context.Context, t Target, name string) (rollover.RecordSet, error)
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
	RolledBack Outcome = iota // what was in place before is in place
	Installed                 // the new pair is in place; whether it is used is not known
	Reloaded                  // the new pair is used, but was not seen everywhere
	Verified                  // all is well
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

// Names lists the DNS names and addresses that a certificate is for: sorted, in
// one spelling and each once.
func Names(leaf *x509.Certificate) []string {
	all := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		all = append(all, ip.String())
	}
	return canonical(all)
}

// canonical returns names sorted, in one spelling and each once.
func canonical(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = strings.ToLower(name)
		if ip := net.ParseIP(name); ip != nil {
			out[i] = ip.String()
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Remedy returns what err says the operator can do about it, or "".
func Remedy(err error) string {
	if text := durable.SystemRemedy(err); text != "" {
		return text
	}
	return problem.Remedy(err)
}
