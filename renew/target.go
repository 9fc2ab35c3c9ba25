package renew

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"keypaird/renew/durable"
	"keypaird/renew/keypair"
	"keypaird/renew/problem"
	"keypaird/renew/rollover"
)

// A Target is one certificate to keep alive, bound to what obtains it and to what
// uses it.
type Target struct {
	Name       string            // required; of its directory under certs/
	Names      []string          // what the certificate is for, normalised; none if its files say it
	KeyType    string            // ec256 ec384 rsa2048 rsa3072 rsa4096
	Profile    string            // "" lets the CA choose
	Issuers    []Issuer          // required; in the order they are tried
	Deploy     []Deployer        // may be empty
	TLSA       []string          // names of TLSA records by which peers know the key; may be empty
	Resolver   Resolver          // queries them; nil: they are not queried
	Challenges map[string]string // type of challenge by name, for the operator; may be nil
	Domain     string            // the plain domain that it belongs to; "" if it is of no identity
	Components []string          // further XMPP domains of the identity
}

// External returns the files that the certificate comes from; nil: it is ordered.
func (t Target) External() *External {
	if len(t.Issuers) != 1 {
		return nil
	}
	x, _ := t.Issuers[0].(*External)
	return x
}

// CAs returns the names of the CAs, in the order they are tried.
func (t Target) CAs() []string {
	names := []string{}
	if t.External() == nil {
		for _, i := range t.Issuers {
			names = append(names, i.String())
		}
	}
	return names
}

// issuer returns the target's issuer called name, or nil.
func (t Target) issuer(name string) Issuer {
	for _, i := range t.Issuers {
		if i.String() == name {
			return i
		}
	}
	return nil
}

// An Issuer provides the certificates of one target: a CA, or the files of an
// [External] certificate.
type Issuer interface {
	// String returns its name.
	String() string

	// Obtain returns a new pair, or an error, an *OrderError if that says
	// something of other orders. An interrupted Obtain is resumed by the next.
	Obtain(ctx context.Context, o Order) (*keypair.Pair, error)

	// Forget removes what is left of an order that ended in the certificate
	// stored, and reports whether there was one. Another may be left where the
	// process was killed between storing the pair and forgetting the order.
	Forget(stored *x509.Certificate) (bool, error)

	// Limit returns the limit that one more order would exceed now; the zero value
	// if there is none. current is its certificate that the order would replace;
	// nil means none.
	Limit(current *x509.Certificate) Limit
}

// A RenewalInfoFetcher is an Issuer that says when it wants certificates replaced
// (RFC 9773).
type RenewalInfoFetcher interface {
	// RenewalInfo returns the window that it suggests for leaf. Without a window it
	// suggests none. An error that is Temporary is one of the moment; one that knows
	// the Earliest time says when to ask again.
	RenewalInfo(ctx context.Context, leaf *x509.Certificate) (SuggestedWindow, error)
}

// An Order is what an issuer is asked for.
type Order struct {
	KeyType  string            // of the key to certify
	Have     *x509.Certificate // what is stored now; nil means nothing
	Replaces bool              // Have is this issuer's, and replaced by what is ordered
	Foreign  bool              // Have is known to be another CA's
	Key      crypto.Signer     // to certify; nil: a new one
	Forced   bool              // whatever the limit for its names
	Now      time.Time         // by the wall clock
	Step     func(string)      // receives what is being done
}

// An OrderError is a failure of one CA.
type OrderError struct {
	TryNextCA bool // another CA may do better
	CAWide    bool // every order at this CA would fail now
	Err       error
}

func (e *OrderError) Error() string { return e.Err.Error() }

func (e *OrderError) Unwrap() error { return e.Err }

// A Limit says that a CA is not asked for a certificate because it was asked often
// enough.
type Limit struct {
	Until time.Time // when it may be asked; zero: now
	Err   error     // why; knows a Remedy
}

// A SuggestedWindow is when a CA wants a certificate replaced.
type SuggestedWindow struct {
	Start, End  time.Time // zero: the CA does not say
	Explanation string    // URL of a page for the operator; may be ""
	Next        time.Time // when to ask again
}

// A Resolver queries the TLSA records of one target.
type Resolver interface {
	// TLSA returns the records published at name. An error means that they are not
	// known.
	TLSA(ctx context.Context, name string) (rollover.RecordSet, error)
}

// A Deployer takes pairs to one server that uses them. Targets that share a server
// share its Deployer.
type Deployer interface {
	// String returns the name of the deployment.
	String() string

	// Spec returns how it deploys a target, and what is missing of that.
	Spec(target string) DeploySpec

	// Endpoints returns where the pair is seen served; none: it is not verified.
	Endpoints() []string

	// Deploy installs the changes, reloads once, and returns how that went for each
	// change. Those that fail for one reason have one error.
	Deploy(ctx context.Context, changes []Change) []Result
}

// A DeploySpec says how a deployment is done: where that changed since the last
// one, the pair is deployed again.
type DeploySpec struct {
	ConfigHash   string // of what the configuration says of it
	FilesMissing bool   // a file that the deployment wrote is not there
}

// A Result is how a deployment went for one change.
type Result struct {
	Outcome   Outcome
	Err       error           // nil: Verified
	Endpoints map[string]Seen // what each endpoint was seen to serve; nil: they were not probed
}

// A Seen is what an endpoint served of a target when it was last probed.
type Seen struct {
	State  string    `json:"state"` // one of those below
	At     time.Time `json:"at,omitzero"`
	Error  string    `json:"error,omitempty"` // of the names that it does not serve
	Remedy string    `json:"remedy,omitempty"`
}

// States of what an endpoint serves of a target.
const (
	SeenServed  = "served"  // its pair, for some of its names at least
	SeenAbsent  = "absent"  // nothing, as before its deployment
	SeenFailing = "failing" // not the pair that it should
	SeenNothing = "none"    // no name of it is requested there
)

// An Outcome is how far a change got in a deployment.
type Outcome int

// Outcomes.
const (
	RolledBack Outcome = iota // what was in place before is in place
	Installed                 // the new pair is in place; whether it is used is not known
	Reloaded                  // the new pair is used, but was not seen everywhere
	Verified                  // the new pair is seen served, or nothing is to be seen
)

// A Change is one target's new pair on its way to a deployment.
type Change struct {
	Name       string        // of the target
	Names      []string      // New must be for exactly these; empty: whatever it is for
	Domain     string        // the plain domain that the target belongs to; may be ""
	Components []string      // further XMPP domains of its identity
	New        *keypair.Pair // required
	Dir        string        // of the new version
	Previous   *keypair.Pair // what to go back to; nil: nothing
	Restore    func() error  // switches live back to Previous; nil: nothing to switch
	// WasVerified: Previous was seen served by this deployment, so that endpoints
	// which know none of the names are no news.
	WasVerified bool
	// NextTry is when this deployment is tried again if it fails: a pair that ends
	// before is not gone back to. Zero means soon.
	NextTry time.Time
	// Deployed: New was installed and reloaded before; only verification is missing.
	Deployed bool
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

// quoted lists names for a message.
func quoted(names []string) string {
	q := make([]string, len(names))
	for i, name := range names {
		q[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(q, ", ")
}

// Remedy returns what err says the operator can do about it, or "".
func Remedy(err error) string {
	if text := durable.SystemRemedy(err); text != "" {
		return text
	}
	return problem.Remedy(err)
}
