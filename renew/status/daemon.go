package status

import (
	"fmt"
	"time"
)

// A Daemon is how it stands with "keypaird run", by what is in the state
// directory.
type Daemon struct {
	State   string    `json:"state"`             // one of DaemonStates
	Process int       `json:"process,omitempty"` // that runs, or was killed
	Since   time.Time `json:"since,omitzero"`    // it runs, or ran
}

// States of a daemon.
const (
	Running = "running"
	Killed  = "killed"  // it did not end by itself: it was killed, or the machine went down
	Stopped = "stopped" // it ended by itself
	Never   = "never"   // none ever ran
)

// DaemonStates lists the states of a daemon.
func DaemonStates() []string { return []string{Running, Killed, Stopped, Never} }

// says is a line for people.
func (d Daemon) says() string {
	const either = "; start keypaird run, or issue from cron"
	switch d.State {
	case Running:
		return fmt.Sprintf("daemon: process %d since %s", d.Process, day(d.Since))
	case Killed:
		return fmt.Sprintf("daemon: not running (process %d of %s was killed)", d.Process, day(d.Since))
	case Stopped:
		return "daemon: stopped" + either
	}
	return "daemon: none has run" + either
}

// works is who does what is to be done, in the words of a summary.
func (doc Document) works() string {
	if doc.Daemon != nil && doc.Daemon.State != Running {
		return "the next keypaird issue works"
	}
	return "keypaird works"
}

// A Refusal is that of a daemon to take a changed configuration over.
type Refusal struct {
	Since time.Time `json:"since"`
	Error string    `json:"error"`
}

// says is a line for people.
func (r Refusal) says() string {
	return fmt.Sprintf("The configuration on disk is not in use since %s: %s", when(r.Since), printable(r.Error))
}
