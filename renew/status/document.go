package status

import (
	"time"

	"keypaird/renew"
	"keypaird/renew/notify"
)

// A Document is the answer of "keypaird status -json" and of /status.json. It
// is described by schema.json beside this file. Times are UTC, RFC 3339; fields
// may be added, none is renamed or removed.
type Document struct {
	Time    time.Time `json:"time"`
	Healthy bool      `json:"healthy"` // every target has a live certificate that is not overdue
	Targets []Target  `json:"targets"`

	Daemon  *Daemon  `json:"daemon,omitempty"`  // whether one runs; nil: a daemon tells this
	Refused *Refusal `json:"refused,omitempty"` // the daemon goes on with another configuration than the one on disk
}

// A Target is one certificate that is to be kept alive.
type Target struct {
	Name           string       `json:"name"`
	Names          []Name       `json:"names"`
	SignWith       []string     `json:"sign_with"`                 // CAs, in the order they are asked
	External       *External    `json:"external,omitempty"`        // the certificate is bought, not ordered
	State          string       `json:"state"`                     // one of States
	ActionRequired string       `json:"action_required,omitempty"` // why the operator has to act; "": no action is required
	Live           *Certificate `json:"live,omitempty"`            // what is in use
	Newest         *Certificate `json:"newest,omitempty"`          // what is stored, if it is not what is in use
	Issued         time.Time    `json:"issued,omitzero"`           // when the newest was obtained, if that is known
	Due            *time.Time   `json:"due,omitempty"`             // when the next certificate is ordered
	OverdueAt      time.Time    `json:"overdue_at,omitzero"`       // when the live certificate is overdue: it should have been replaced by then
	Renewal        *Renewal     `json:"renewal,omitempty"`         // what the CA says of when to replace the newest
	Next           Next         `json:"next"`
	Order          *Failure     `json:"order,omitempty"`  // of obtaining, if the last try failed and a certificate is still wanted
	Orders         []Failure    `json:"orders,omitempty"` // likewise at each CA that failed, in the order they are asked
	TLSA           *TLSA        `json:"tlsa,omitempty"`   // records by which peers know the key, if it has any
	Damage         *Damage      `json:"damage,omitempty"` // of the files, if they are not what they should be
	Deployments    []Deployment `json:"deployments,omitempty"`

	alert notify.Alert // behind ActionRequired
}

// States of a target.
const (
	OK      = "ok"
	Due     = "due"     // a certificate is to be ordered, now or when the limit of orders allows
	Pending = "pending" // a certificate is to be deployed
	Failing = "failing" // the last try of something failed
	Missing = "missing" // nothing is live
	Expired = "expired" // what is live has ended
	Damaged = "damaged" // the files cannot be used
)

// States lists the states of a target.
func States() []string { return []string{OK, Due, Pending, Failing, Missing, Expired, Damaged} }

// A Name is a name on the certificate and the challenge type that proves it.
type Name struct {
	Name  string `json:"name"`
	Proof string `json:"proof"` // or "external"
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
}

// A Renewal is what the CA says of when it wants a certificate replaced (RFC
// 9773). Without a start, it says nothing.
type Renewal struct {
	Start       time.Time `json:"start,omitzero"`
	End         time.Time `json:"end,omitzero"`
	Chosen      time.Time `json:"chosen,omitzero"`       // instant between the two at which the next is ordered
	Explanation string    `json:"explanation,omitempty"` // URL of a page for people
	NextAsk     time.Time `json:"next_ask,omitzero"`     // when the CA is asked again
	Error       string    `json:"error,omitempty"`       // of asking, if it failed last
}

// Next is what the next pass would do.
type Next struct {
	Action renew.Action `json:"action"`
	Why    string       `json:"why"`
	At     *time.Time   `json:"at,omitempty"`
}

// A Failure is the last failure of something that has not succeeded since.
type Failure struct {
	CA       string    `json:"ca,omitempty"` // that was asked; of orders only
	Failures int       `json:"failures"`     // in a row
	At       time.Time `json:"at"`
	Next     time.Time `json:"next"` // try of the daemon
	Error    string    `json:"error"`
	Remedy   string    `json:"remedy,omitempty"`
}

// A Damage is what keeps a target's files from being read.
type Damage struct {
	Error  string `json:"error"`
	Remedy string `json:"remedy,omitempty"`
}

// A Deployment is how far the newest certificate got in one deployment.
type Deployment struct {
	Name      string     `json:"name"`
	State     string     `json:"state"`               // one of DeploymentStates
	At        *time.Time `json:"at,omitempty"`        // of the last success
	Failure   *Failure   `json:"failure,omitempty"`   // of the last try, if it failed
	Endpoints []Endpoint `json:"endpoints,omitempty"` // where it is looked at
}

// States of a deployment; of an endpoint, all but Deployed.
const (
	Verified   = "verified"   // seen served
	Deployed   = "deployed"   // reloaded, and there is no endpoint to look at
	Unverified = "unverified" // reloaded, and not seen served
	Undeployed = "pending"    // not in use there, or not as the configuration now says
	Refuted    = "failing"    // of an endpoint: seen not to serve it
)

// DeploymentStates lists the states of a deployment.
func DeploymentStates() []string { return []string{Verified, Deployed, Unverified, Undeployed} }

// An Endpoint is one place where a deployment's certificate should be served.
type Endpoint struct {
	Endpoint string `json:"endpoint"` // as in the configuration
	State    string `json:"state"`
}
