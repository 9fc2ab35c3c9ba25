package wire

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"keypaird/renew/fleet/engine"
)

// Limits of both sides.
const (
	MaxLine    = 4 << 20          // of a line in bytes; etcd takes 1.5 MiB in a commit, by default
	Window     = 4                // lines of one request that were not used yet
	MaxStreams = 64               // follows and reads at once
	Limit      = 10 * time.Second // in which keypaird-fleet answers, with a failure if the engine does not
)

// A Request has an ID and one of the other fields.
type Request struct {
	ID     uint64         `json:"id"`
	Open   *Settings      `json:"open,omitempty"` // again: the settings have changed
	Commit *Commit        `json:"commit,omitempty"`
	Read   *Read          `json:"read,omitempty"`
	Follow *Follow        `json:"follow,omitempty"`
	Lease  *Lease         `json:"lease,omitempty"`
	Renew  engine.LeaseID `json:"renew,omitempty"`
	End    engine.LeaseID `json:"end,omitempty"`
	State  bool           `json:"state,omitempty"`

	// About the request of that ID, without an answer of its own.
	Take   bool `json:"take,omitempty"`   // one line of its answer was used
	Cancel bool `json:"cancel,omitempty"` // nobody waits for its answer any more
}

// Settings say how to reach the engine.
type Settings struct {
	Endpoints []string `json:"endpoints"` // https://HOST:PORT, or http://
	Prefix    string   `json:"prefix"`    // of all keys
	CA        []byte   `json:"ca,omitempty"`
	Cert      []byte   `json:"cert,omitempty"`
	Key       []byte   `json:"key,omitempty"` // these three in PEM
	User      string   `json:"user,omitempty"`
	Password  string   `json:"password,omitempty"`
}

// Commit is engine.Engine.Commit.
type Commit struct {
	Conditions []engine.Condition `json:"conditions,omitempty"`
	Do         []engine.Op        `json:"do,omitempty"`
}

// Read is engine.Engine.Read.
type Read struct {
	Prefix string `json:"prefix"`
}

// Follow is engine.Engine.Follow.
type Follow struct {
	Prefixes []string        `json:"prefixes"`
	After    engine.Revision `json:"after"`
}

// Lease is engine.Engine.Lease, without the renewals.
type Lease struct {
	TTL time.Duration `json:"ttl"`
}

// An Answer is to the request of that ID.
type Answer struct {
	ID       uint64          `json:"id"`
	More     bool            `json:"more,omitempty"` // another answer to it follows
	Revision engine.Revision `json:"revision,omitempty"`
	Entries  []engine.Entry  `json:"entries,omitempty"`
	Lease    engine.LeaseID  `json:"lease,omitempty"`
	State    *State          `json:"state,omitempty"`
	Means    string          `json:"means,omitempty"` // of Open: what confines keypaird-fleet
	Failure  *Failure        `json:"failure,omitempty"`
}

// A Kind is the class of a Failure.
type Kind string

// Kinds of failures.
const (
	Unreachable Kind = "unreachable" // no endpoint answers
	Refused     Kind = "refused"     // the certificate, the user or a right
	WrongServer Kind = "server"      // an endpoint's certificate is for other names, of another CA or too old
	NoSpace     Kind = "space"       // the engine takes no more writes
	NoLeader    Kind = "leader"      // too few members
	TooLarge    Kind = "large"
	Gap         Kind = "gap"       // engine.ErrGap
	Condition   Kind = "condition" // engine.ConditionError
	LeaseEnded  Kind = "lease"
	Other       Kind = "other"
)

// A Failure says why there is no answer.
type Failure struct {
	Kind   Kind   `json:"kind"`
	Key    string `json:"key,omitempty"` // of Condition
	Text   string `json:"text"`
	Remedy string `json:"remedy,omitempty"`
}

// State is the state of the engine.
type State struct {
	Endpoints []Endpoint `json:"endpoints"`
	Members   int        `json:"members"`            // that the engine has; 0: not known
	NotAfter  time.Time  `json:"not_after,omitzero"` // of the client's certificate
	Others    []string   `json:"others,omitempty"`   // client URLs of members that are none of the endpoints
}

// An Endpoint is one member of the engine.
type Endpoint struct {
	URL      string    `json:"url"`
	Error    string    `json:"error,omitempty"`
	Remedy   string    `json:"remedy,omitempty"`
	Version  string    `json:"version,omitempty"`
	Leader   bool      `json:"leader,omitempty"`
	Size     int64     `json:"size,omitempty"`   // of the database in bytes
	InUse    int64     `json:"in_use,omitempty"` // of it
	Quota    int64     `json:"quota,omitempty"`  // at which writes are refused; 0: not known
	Alarms   []string  `json:"alarms,omitempty"`
	NotAfter time.Time `json:"not_after,omitzero"` // of its certificate
}

// ErrLong is the error of a line that is longer than [MaxLine].
var ErrLong = fmt.Errorf("a line is longer than %d bytes", MaxLine)

// Line returns a message as a line.
func Line(message any) ([]byte, error) {
	line, err := json.Marshal(message)
	if err != nil {
		return nil, err
	}
	if len(line) >= MaxLine {
		return nil, ErrLong
	}
	return append(line, '\n'), nil
}

// A Reader reads messages.
type Reader struct{ lines *bufio.Scanner }

// NewReader returns a reader of the lines of r.
func NewReader(r io.Reader) *Reader {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 4<<10), MaxLine)
	return &Reader{s}
}

// Next reads the next message, and returns how long it is. The error is io.EOF at the end.
func (r *Reader) Next(message any) (int, error) {
	if !r.lines.Scan() {
		switch err := r.lines.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			return 0, ErrLong
		case err != nil:
			return 0, err
		}
		return 0, io.EOF
	}
	line := r.lines.Bytes()
	return len(line), json.Unmarshal(line, message)
}
