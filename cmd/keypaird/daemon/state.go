package daemon

import (
	"errors"
	"io/fs"
	"path/filepath"

	"keypaird/renew/durable"
	"keypaird/renew/status"
)

// Runs reports whether the daemon of a state directory runs, as far as is known.
func Runs(state string) bool {
	d := StateOf(state)
	return d == nil || d.State == status.Running
}

// StateOf returns the state of the daemon of a state directory; nil if it is
// unknown.
func StateOf(state string) *status.Daemon {
	h, err := durable.ReadHolder(filepath.Join(state, "daemon"))
	d := &status.Daemon{State: status.Stopped, Process: h.Process, Since: h.Since}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.State = status.Never
	case err != nil:
		return nil
	case h.Lives:
		d.State = status.Running
	case h.Process != 0:
		d.State = status.Killed
	}
	return d
}
