// Package message is what keypaird and keypaird-names say to each other: a [Request]
// on the standard input of keypaird-names, as JSON, and an [Answer] on its standard
// output.
//
// keypaird-names talks to servers that others name. [ReadAnswer] bounds its answer, and
// makes every text in it printable.
package message

import (
	"net/netip"
	"time"

	"keypaird/hooks/verify/input"
)

// What either side reads at most.
const (
	MaxRequest = 64 << 20 // ten thousand targets
	MaxAnswer  = 16 << 20
)

// A Format is that of an answer.
type Format string

// The formats.
const (
	Text  Format = ""
	JSON  Format = "json"
	TAP   Format = "tap"   // of a verification alone
	Facts Format = "facts" // for keypaird itself: Checks or Needs
)

// A Request asks to discover or to verify.
type Request struct {
	Discover *Discover // exactly one of these
	Verify   *Verify

	Lookup  Lookup
	Format  Format
	Width   int  // of a terminal that text is for; 0: it is for none
	Verbose bool // log unanswered DNS queries
}

// A Lookup says how others are asked.
type Lookup struct {
	Resolvers []string                // none: those of the system
	Resolve   map[string][]netip.Addr // addresses of names, whatever DNS says
	Roots     []byte                  // further trusted CAs, in PEM
	RootsOnly bool                    // the CAs of the system are not trusted
	Ask       bool                    // query the homeservers' version endpoint
}

// A Discover asks what the services of a domain need, or, with Plan, what a move of
// its Matrix federation changes.
type Discover struct {
	Domain     string
	Services   []string // none: all
	Components []string // further XMPP domains
	Plan       *Goal    // nil: none
	Machine    bool     // with Facts: also Needs.Machine
}

// A Goal says where a Matrix domain moves to. See package plan.
type Goal struct {
	To, Server string
	Since      time.Time
}

// A Verify asks what endpoints serve.
type Verify struct {
	Targets []input.Target
	Domains []input.Domain
	Stored  *input.Stored // nil: certificates are not compared with stored ones
}

// An Answer answers a Request.
type Answer struct {
	Output string // the results, in the format asked for
	Error  string // what they amount to; empty: all is well
	Remedy string

	Checks []Check // of a verification
	Needs  *Needs  // of a discovery
}

// A Check is the result for one endpoint of a deployment.
type Check struct {
	Target, Deployment, Endpoint, Name string

	OK, Warning   bool // neither: it failed, or could not be determined
	Error, Remedy string
	Unreachable   bool      // nothing listens there
	Fingerprint   string    // of the certificate served; empty: none was
	NotAfter      time.Time // of that certificate
}

// Needs are what the services of a domain need.
type Needs struct {
	Requirements []Requirement
	Problems     []Problem // of records and documents that stop some peers
	Machine      *Machine
}

// A Machine is the machine that most likely gets the certificates of a domain.
type Machine struct {
	Host     string   // the server, if it needs the name of the domain too; else empty
	Services []string // found on it
	Names    []string // served there
	TLSA     []string // names of records about the key of Host

	NameServers []string // of the zone that the domain is in
	Primary     string   // of them, by the SOA record; empty: not known
}

// A Requirement is a name that peers expect on the certificate of an endpoint. See
// package discover.
type Requirement struct {
	Service, Role, Identity string

	Endpoint, Host string // of the endpoint
	Addrs          []netip.Addr
	Accept         []string // names
	NoWildcard     bool
	CheckedBy      string
	Enforcement    string // "must", "should" or "info"

	Lacks        bool   // there is no endpoint to check
	Missing      bool   // peers try a name without an address, and find nothing
	Undetermined bool   // failed queries left it open
	Why          string // of these
}

// A Problem is a fault of the records or documents.
type Problem struct{ Service, Text, Remedy string }
