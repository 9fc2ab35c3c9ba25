package deployer

import (
	"context"
	"time"

	"keypaird/renew/keypair"
	"keypaird/renew/seen"
)

// A Deployer takes pairs to one server that uses them. Targets that share a server
// share its Deployer.
type Deployer interface {
	// String returns the name of the deployment.
	String() string

	// Spec returns how it deploys a target, and the signature of the files there.
	Spec(target string) DeploySpec

	// Paths returns the files that it writes for a target, absolute.
	Paths(target string) []string

	// Inspect compares the files of a target with what they should be.
	Inspect(target string, should *keypair.Pair) Inspection

	// Endpoints returns where the pair must be served; none: it is not verified.
	Endpoints() []string

	// Deploy installs the changes, reloads once, and returns how that went for each
	// change. Those that fail for one reason have one error.
	Deploy(ctx context.Context, changes []Change) []Result

	// Probe compares what the endpoints serve with New and Seen, and changes nothing.
	// Nothing is known of a change if its result has neither error nor Endpoints.
	Probe(ctx context.Context, changes []Change) []Result
}

// A DeploySpec identifies how a deployment is done. If it changed since the pair
// was deployed, the pair is deployed again.
type DeploySpec struct {
	ConfigHash string // of what the configuration says of it
	Signature  string // of its files as they are, without their content; another one once a file was touched

	Inspection // zero if Signature is that of the record
}

// An Inspection compares the files of a deployment with its pair.
type Inspection struct {
	Differs string        // what is not as it should be, of one file; "": all is
	Newer   *keypair.Pair // the files have a valid pair that is newer than it should be; nil: they do not
}

// A Result is the result of a deployment for one change.
type Result struct {
	Outcome   Outcome
	Err       error                    // nil: Verified
	Endpoints map[string]seen.Endpoint // what each endpoint was seen to serve; nil: that is not known
}

// An Outcome is the last step of a deployment that a change completed.
type Outcome int

// Outcomes.
const (
	RolledBack Outcome = iota // what was in place before is in place
	Installed                 // the new pair is in place; whether it is used is not known
	Reloaded                  // the server was reloaded, but does not serve the new pair everywhere
	Verified                  // every endpoint serves the new pair, or there are no endpoints
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
	// WasVerified: this deployment verified Previous, so an endpoint that serves none
	// of the names did not then either, and is not a failure.
	WasVerified bool
	// NextTry is when this deployment is tried again if it fails: it is not rolled
	// back to a pair that expires before. Zero means soon.
	NextTry time.Time
	// Deployed: New was installed and reloaded before; only verification is missing.
	Deployed bool
	// Seen is what the endpoints served before the deployment, and must serve again; nil:
	// they are probed for that.
	Seen map[string]seen.Endpoint
}
