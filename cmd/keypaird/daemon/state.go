package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"keypaird/cmd/keypaird/config"
	"keypaird/renew/durable"
	"keypaird/renew/status"
)

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

// refusal is what the page shows of a configuration that is rejected for err.
// before is that of the last rejected one, if none was applied since. Mistakes are
// only counted: they may quote what readers of the page must not see.
func refusal(before *status.Refusal, err error) *status.Refusal {
	r := &status.Refusal{Since: time.Now().UTC().Truncate(time.Second), Error: err.Error()}
	var mistakes config.Mistakes
	if errors.As(err, &mistakes) {
		r.Error = fmt.Sprintf("%d %s, see: keypaird check", len(mistakes), plural(len(mistakes), "mistake", "mistakes"))
	}
	if before != nil {
		r.Since = before.Since
	}
	return r
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
