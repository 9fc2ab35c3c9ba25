package nodes

import (
	"fmt"
	"slices"
	"time"

	"keypaird/renew/textfmt"
)

// A Fleet is the output of "keypaird status -fleet", as text and as JSON.
type Fleet struct {
	ID      string    `json:"id,omitempty"`         // "": not known yet
	Node    string    `json:"node"`                 // that describes the fleet
	Seat    string    `json:"seat,omitempty"`       // node that orders; "": none
	Error   string    `json:"error,omitempty"`      // why the engine cannot be used; the rest is as it was before
	Remedy  string    `json:"remedy,omitempty"`     // for Error, or else for Waits
	Since   time.Time `json:"error_since,omitzero"` // of Error, if known
	Waits   string    `json:"waits,omitempty"`      // why this node does not take the seat, or takes it last
	Partial bool      `json:"partial,omitempty"`    // the node may not order, and knows neither other nodes nor their targets
	Nodes   []Node    `json:"nodes"`                // by name
	Targets []Release `json:"targets"`              // by name
}

// A Node is a node of the fleet.
type Node struct {
	Name    string `json:"node"`
	Alive   bool   `json:"alive"`
	Away    int    `json:"away_seconds,omitempty"`        // how long it has not been alive
	Version string `json:"version,omitempty"`             // of keypaird
	Clock   int    `json:"clock_ahead_seconds,omitempty"` // of the clock of Fleet.Node, or of that of the node in the seat
	Orders  bool   `json:"orders"`                        // it may
	Seated  bool   `json:"seated"`                        // it orders now
	Waits   string `json:"waits,omitempty"`               // why it leaves ordering to others now
	Behind  int    `json:"behind"`                        // releases that it may deploy and has not verified
}

// A Release is that of a target: what the fleet has of its certificate.
type Release struct {
	Name        string    `json:"target"`
	Serial      uint64    `json:"serial"`                // 0: there is no release
	Stage       string    `json:"stage"`                 // none, wave, held or all
	Wave        int       `json:"wave,omitempty"`        // with Wave and Held: the number of the wave that may deploy it, from 1
	Fingerprint string    `json:"fingerprint,omitempty"` // SHA-256 of the leaf
	NotAfter    time.Time `json:"not_after,omitzero"`    // of the leaf
	Held        string    `json:"held,omitempty"`        // why it goes to no further node
	Verified    []string  `json:"verified"`              // nodes
	Missing     []Missing `json:"missing"`               // nodes that have not verified it
}

// Stages of a release.
const (
	None = "none" // there is no release
	Wave = "wave" // some nodes may deploy it
	Held = "held" // some nodes may deploy it, and no further ones
	All  = "all"  // all nodes may
)

// A Missing is a node that has not verified the release.
type Missing struct {
	Node     string `json:"node"`
	Allowed  bool   `json:"allowed"` // it may deploy the release
	Failures int    `json:"failures,omitempty"`
	Error    string `json:"error,omitempty"`
}

// Summary says who orders.
func (f *Fleet) Summary() string {
	switch {
	case f.ID == "":
		return "it is not known which node orders"
	case f.Seat == "":
		return "no node orders"
	}
	return "node " + f.Seat + " orders"
}

// A Trouble says what is wrong, why, and what to do about it.
type Trouble struct{ What, Error, Remedy string }

// Trouble returns what is wrong with ordering; nil: nothing.
func (f *Fleet) Trouble() *Trouble {
	switch {
	case f.Error != "" && f.Since.IsZero():
		return &Trouble{"the engine cannot be used", f.Error, f.Remedy}
	case f.Error != "":
		return &Trouble{"the engine cannot be used since " + f.Since.UTC().Format("2006-01-02 15:04 UTC"), f.Error, f.Remedy}
	case f.Waits != "":
		return &Trouble{"node " + f.Node + " leaves the seat to others", f.Waits, f.Remedy}
	}
	return nil
}

// State returns whether a node is alive, as one word.
func (n Node) State() string {
	switch {
	case n.Seated:
		return "alive, orders"
	case n.Alive:
		return "alive"
	case n.Away <= 1:
		return "away"
	}
	return "away for " + textfmt.Duration(time.Duration(n.Away)*time.Second)
}

// Ahead says by how much the clock of a node is ahead.
func (n Node) Ahead() string { return fmt.Sprintf("%+ds", n.Clock) }

// Skewed reports whether the clock of a node differs by more than a minute, for which
// package renew/fleet has a node leave the seat.
func (n Node) Skewed() bool { return n.Clock > 60 || n.Clock < -60 }

// Progress says which nodes may deploy the release.
func (r Release) Progress() string {
	if r.Stage == Wave || r.Stage == Held {
		return fmt.Sprintf("%s %d", r.Stage, r.Wave)
	}
	return r.Stage
}

// Count says how many nodes have verified the release, of all that need it.
func (r Release) Count() string {
	return fmt.Sprintf("%d/%d", len(r.Verified), len(r.Verified)+len(r.Missing))
}

// Done reports whether all nodes have verified the release.
func (r Release) Done() bool { return r.Serial > 0 && len(r.Missing) == 0 }

// Failed reports whether the release is held, or a node failed to deploy it.
func (r Release) Failed() bool {
	return r.Held != "" || slices.ContainsFunc(r.Missing, func(m Missing) bool { return m.Error != "" })
}

// Lines say why nodes have not verified the release.
func (r Release) Lines() (lines []string) {
	if r.Held != "" {
		lines = append(lines, "held: "+r.Held+"; to go on: keypaird fleet go "+r.Name)
	}
	for _, m := range r.Missing {
		switch {
		case r.Serial == 0:
		case m.Error != "":
			lines = append(lines, fmt.Sprintf("%s failed %d %s: %s", m.Node, m.Failures, textfmt.Plural(m.Failures, "time", "times"), m.Error))
		case m.Allowed:
			lines = append(lines, m.Node+" has not verified it yet")
		default:
			lines = append(lines, m.Node+" waits for its wave")
		}
	}
	return lines
}

// Open returns the releases that not all nodes have verified.
func (f *Fleet) Open() []Release { return f.releases(false) }

// Closed returns the releases that all nodes have verified.
func (f *Fleet) Closed() []Release { return f.releases(true) }

func (f *Fleet) releases(done bool) []Release {
	return slices.DeleteFunc(slices.Clone(f.Targets), func(r Release) bool { return r.Done() != done })
}

// Troubled reports whether anything of the fleet does not work.
func (f *Fleet) Troubled() bool {
	return f.Trouble() != nil || slices.ContainsFunc(f.Nodes, Node.Skewed) || slices.ContainsFunc(f.Targets, Release.Failed)
}
