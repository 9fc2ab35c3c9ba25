package preflight

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/hooks"
	"keypaird/renew/durable"
)

// checkNotify checks that the program of [notify] exists. Otherwise that is noticed
// when it is needed.
func checkNotify(cfg *config.Config) []Finding {
	d := hooks.Deployment{Reload: cfg.Notify.Command}
	if err := d.Runnable(); err != nil {
		return []Finding{finding("configuration", "notify.command", "", err)}
	}
	return nil
}

// checkRemovedNames warns of external certificates that lack names of the ones in
// use: they may be for another server.
func checkRemovedNames(e *engine.Engine) []Finding {
	var found []Finding
	for _, s := range e.Subjects {
		if s.External == nil {
			continue
		}
		live, err := e.Store.Live(s.Name)
		if err != nil {
			continue
		}
		next, _, err := s.External.Read(time.Now())
		if err != nil {
			continue
		}
		have := next.Names()
		removed := slices.DeleteFunc(live.Pair.Names(), func(name string) bool { return slices.Contains(have, name) })
		if len(removed) > 0 {
			found = append(found, Finding{
				Check: engine.TypeExternal, Subject: s.Name, Result: Warning,
				Detail: "the certificate in " + s.External.Chain + " lacks " + strings.Join(removed, " ") + ", which the one in use has",
				Remedy: "check that it is the right one: keypaird imports it as it is",
			})
		}
	}
	return found
}

// checkStored checks that the live pairs are complete, with their keys. The daemon
// reads keys only to deploy them.
func checkStored(e *engine.Engine) []Finding {
	var found []Finding
	for _, s := range e.Subjects {
		_, err := e.Store.Live(s.Name)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		f := finding("store", s.Name, "", err)
		var broken *durable.BrokenError
		if errors.As(err, &broken) && s.External == nil {
			f.Remedy = "restore it from a backup, or get another: keypaird issue -force " + s.Name
		}
		found = append(found, f)
	}
	return found
}
