package status

import (
	"time"

	"keypaird/renew"
	"keypaird/renew/notify"
	"keypaird/renew/status/nodes"
	"keypaird/renew/unconfigured"
)

// A Document is the answer of "keypaird status -json" and of /status.json. It
// is described by schema.json beside this file. Times are UTC, RFC 3339; fields
// may be added, none is renamed or removed.
type Document struct {
	Time    time.Time `json:"time"`
	Healthy bool      `json:"healthy"` // every target has a live certificate that is not overdue
	Targets []Target  `json:"targets"`

	Unconfigured []Unconfigured `json:"unconfigured,omitempty"` // certificates that are no longer configured, and still deployed

	Daemon  *Daemon  `json:"daemon,omitempty"`  // whether one runs; nil: a daemon wrote the document
	Refused *Refusal `json:"refused,omitempty"` // the daemon rejected the configuration on disk and uses the previous one

	Fleet *nodes.Fleet `json:"fleet,omitempty"` // as the daemon knows it; nil: there is none, or no daemon wrote the document
}

// A Target is one certificate to keep valid.
type Target struct {
	Name           string       `json:"name"`
	Names          []Name       `json:"names"`
	SignWith       []string     `json:"sign_with"`                 // CAs in order of preference
	External       *External    `json:"external,omitempty"`        // the certificate is imported from files, not ordered
	State          string       `json:"state"`                     // one of States
	ActionRequired string       `json:"action_required,omitempty"` // why the operator has to act; "": no action is required
	Live           *Certificate `json:"live,omitempty"`            // in use
	StandIn        *StandIn     `json:"stand_in,omitempty"`        // a self-signed pair takes the place of the first certificate
	Newest         *Certificate `json:"newest,omitempty"`          // newest stored one, if another is in use
	Issued         time.Time    `json:"issued,omitzero"`           // when the newest was obtained, if known
	Due            *time.Time   `json:"due,omitempty"`             // when the next certificate is ordered
	OverdueAt      time.Time    `json:"overdue_at,omitzero"`       // when the live certificate is overdue: it should have been replaced by then
	Renewal        *Renewal     `json:"renewal,omitempty"`         // the CA's suggested renewal window for the newest
	Next           Next         `json:"next"`
	Order          *Failure     `json:"order,omitempty"`  // last failed order, while a certificate is needed
	Orders         []Failure    `json:"orders,omitempty"` // likewise for each CA that failed, in order of preference
	TLSA           *TLSA        `json:"tlsa,omitempty"`   // TLSA records of the key, if configured
	Damage         *Damage      `json:"damage,omitempty"` // of the stored files, if any
	Deployments    []Deployment `json:"deployments,omitempty"`
	Exposed        []Exposed    `json:"exposed,omitempty"` // files with its keys, or those of its accounts, that other users can read

	Left []unconfigured.LeftFile `json:"left,omitempty"` // files that deployments wrote before they were moved, and that are still there

	alert notify.Alert // reason for ActionRequired
}

// States of a target.
const (
	OK      = "ok"
	Due     = "due"     // a certificate is to be ordered, now or when the limit of orders allows
	Pending = "pending" // a certificate is to be deployed
	Failing = "failing" // the last attempt of some step failed
	Missing = "missing" // no certificate is live
	Expired = "expired" // the live certificate has expired
	Damaged = "damaged" // the files cannot be used
)

// States lists the states of a target.
func States() []string { return []string{OK, Due, Pending, Failing, Missing, Expired, Damaged} }

// A Name is a name on the certificate and the challenge type that validates it.
type Name struct {
	Name      string `json:"name"`
	Challenge string `json:"challenge"` // or "external"
}

// An Unconfigured is the certificate of a target that is no longer configured. It is
// not renewed, and servers may still use it.
type Unconfigured struct {
	Name           string                   `json:"name"`
	Names          []string                 `json:"names"`
	Certificate    Certificate              `json:"certificate"`
	Files          []string                 `json:"files"` // that servers may still use
	Deployments    []UnconfiguredDeployment `json:"deployments,omitempty"`
	ActionRequired string                   `json:"action_required,omitempty"` // why the operator has to act; "": not yet
	Remedy         string                   `json:"remedy"`
}

// An UnconfiguredDeployment lists the files that still hold the pair.
type UnconfiguredDeployment struct {
	Name  string   `json:"name"`
	Files []string `json:"files"`
}

// A Certificate is one stored version.
type Certificate struct {
	Version     string    `json:"version"`
	Fingerprint string    `json:"fingerprint"` // SHA-256 of the leaf, hexadecimal
	Issuer      string    `json:"issuer"`      // common name
	CA          string    `json:"ca,omitempty"`
	Dir         string    `json:"dir"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Revoked     time.Time `json:"revoked,omitzero"` // by the operator, as far as is known
}

// A StandIn is a self-signed pair that was written for a server to start with, until
// the first certificate is deployed.
type StandIn struct {
	NotAfter time.Time `json:"not_after"`
	Files    []string  `json:"files"`
}

// A Renewal is a CA's renewal information (RFC 9773). Without a start, there is
// no suggested window.
type Renewal struct {
	Start       time.Time `json:"start,omitzero"`
	End         time.Time `json:"end,omitzero"`
	Chosen      time.Time `json:"chosen,omitzero"`       // instant between the two at which the next is ordered
	Explanation string    `json:"explanation,omitempty"` // URL of a page for humans
	NextAsk     time.Time `json:"next_ask,omitzero"`     // next request to the CA
	Error       string    `json:"error,omitempty"`       // of the last request, if it failed
}

// Next is the decision of the next pass.
type Next struct {
	Action renew.Action `json:"action"`
	Why    string       `json:"why"`
	At     *time.Time   `json:"at,omitempty"`
}

// A Failure is the last failure of a step that has not succeeded since.
type Failure struct {
	CA       string    `json:"ca,omitempty"` // of orders only
	Failures int       `json:"failures"`     // in a row
	At       time.Time `json:"at"`
	Next     time.Time `json:"next"` // attempt of the daemon
	Error    string    `json:"error"`
	Remedy   string    `json:"remedy,omitempty"`
}

// An Exposed is files with private keys that other users can read.
type Exposed struct {
	Files  []string `json:"files"`
	Known  bool     `json:"known,omitempty"` // others may know the key; else only a directory above the files keeps them out
	Error  string   `json:"error"`
	Remedy string   `json:"remedy"`
}

// A Damage is the reason why a target's files cannot be read.
type Damage struct {
	Error  string `json:"error"`
	Remedy string `json:"remedy,omitempty"`
}

// A Deployment is the progress of the newest certificate in one deployment.
type Deployment struct {
	Name      string     `json:"name"`
	State     string     `json:"state"`               // one of DeploymentStates
	At        *time.Time `json:"at,omitempty"`        // of the last success
	Failure   *Failure   `json:"failure,omitempty"`   // of the last attempt, if it failed
	Endpoints []Endpoint `json:"endpoints,omitempty"` // endpoints that are verified
}

// States of a deployment; of an endpoint, all but Deployed, and those below.
const (
	Verified   = "verified"   // the endpoints serve the certificate
	Deployed   = "deployed"   // reloaded, not verified: no endpoint is configured
	Unverified = "unverified" // reloaded, not verified
	Undeployed = "pending"    // not in use there, or not as the configuration now says
	NotServed  = "failing"    // of an endpoint: it does not serve the certificate
	Absent     = "absent"     // of an endpoint: it serves none of the names, as before the deployment
	Unasked    = "none"       // of an endpoint: none of the names is requested there
)

// DeploymentStates lists the states of a deployment.
func DeploymentStates() []string { return []string{Verified, Deployed, Unverified, Undeployed} }

// An Endpoint is one place where a deployment's certificate should be served.
type Endpoint struct {
	Endpoint  string     `json:"endpoint"` // as in the configuration
	State     string     `json:"state"`
	At        *time.Time `json:"at,omitempty"`        // of the last probe, if known
	Since     *time.Time `json:"since,omitempty"`     // of the first probe in a row with this result
	ServedAt  *time.Time `json:"served_at,omitempty"` // of the last probe that saw the certificate
	Addresses []Address  `json:"addresses,omitempty"` // of the host, if it has several
	Error     string     `json:"error,omitempty"`     // of the names that it does not serve
	Remedy    string     `json:"remedy,omitempty"`
}

// An Address is the result for one address of an endpoint.
type Address struct {
	Address string `json:"address"`
	State   string `json:"state"` // served, failing, absent or unreachable
}

// External names the files of a certificate that another process obtains.
type External struct {
	Chain   string   `json:"chain"`             // file
	Key     string   `json:"key"`               // file
	Failure *Failure `json:"failure,omitempty"` // of the last import, while the files are not imported
}

// A TLSA is the state of a target's TLSA records (DANE).
type TLSA struct {
	Live       string     `json:"live,omitempty"`       // record of the key in use
	Newest     string     `json:"newest,omitempty"`     // record of the newest certificate's key, if another
	Next       string     `json:"next,omitempty"`       // record of the next key; "": the next pass generates it
	RolloverAt *time.Time `json:"rolls,omitempty"`      // when renewals begin to use the next key; nil: unknown
	Refused    bool       `json:"refused,omitempty"`    // peers that check the records refuse the key in use
	Held       string     `json:"held,omitempty"`       // why no first certificate is ordered
	Unverified []string   `json:"unverified,omitempty"` // machines of the fleet that have not verified the newest certificate
	Names      []TLSAName `json:"names"`
}

// A TLSAName is the published records at one name.
type TLSAName struct {
	Name      string    `json:"name"`
	SeenAt    time.Time `json:"seen_at,omitzero"`    // of the last query; zero: none yet
	Records   []string  `json:"records,omitempty"`   // served by every name server
	Partly    []string  `json:"partly,omitempty"`    // served by some name servers only
	TTL       int       `json:"ttl,omitempty"`       // seconds, the longest seen
	Secure    bool      `json:"secure"`              // validated by DNSSEC
	NextSince time.Time `json:"next_since,omitzero"` // since when the record of the next key is published; zero: it is not
	Publish   []string  `json:"publish,omitempty"`   // missing zone file lines
	Remove    []string  `json:"remove,omitempty"`    // lines that are no longer needed
	Later     []string  `json:"later,omitempty"`     // lines that are not needed once the newest is in use everywhere
	Error     string    `json:"error,omitempty"`     // of the last query, if it failed
}

// A Daemon is the state of "keypaird run", read from the state directory.
type Daemon struct {
	State   string    `json:"state"`             // running, killed, stopped or never
	Process int       `json:"process,omitempty"` // running, or killed
	Since   time.Time `json:"since,omitzero"`    // start of the process
}

// States of a daemon.
const (
	Running = "running"
	Killed  = "killed"  // killed, or the machine went down
	Stopped = "stopped" // exited on its own
	Never   = "never"   // never started
)

// A Refusal is the reason why a daemon rejected a changed configuration.
type Refusal struct {
	Since time.Time `json:"since"`
	Error string    `json:"error"`
}
