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

// checkNotify looks for the program of [notify], as for those of deployments:
// that it is not there would else be noticed when it is needed.
func checkNotify(cfg *config.Config) []Finding {
	d := hooks.Deployment{Reload: cfg.Notify.Command}
	if err := d.Runnable(); err != nil {
		return []Finding{finding("configuration", "notify.command", "", err)}
	}
	return nil
}

// checkLost warns of bought certificates that are not for all names of the ones in
// use: they may have been meant for somebody else.
func checkLost(w *engine.Engine) []Finding {
	var found []Finding
	for _, s := range w.Targets {
		x := s.External()
		if x == nil {
			continue
		}
		live, err := w.Store.Live(s.Name)
		if err != nil {
			continue
		}
		next, err := x.Read(time.Now())
		if err != nil {
			continue
		}
		have := next.Names()
		lost := slices.DeleteFunc(live.Pair.Names(), func(name string) bool { return slices.Contains(have, name) })
		if len(lost) > 0 {
			found = append(found, Finding{
				Check: engine.TypeExternal, Subject: s.Name, Result: Warning,
				Detail: "the certificate in " + x.Chain + " is not for " + strings.Join(lost, " ") + ", which the one in use is for",
				Remedy: "see that it is the right one: keypaird takes it as it is",
			})
		}
	}
	return found
}

// checkStored looks whether the pairs that are live are whole, keys included,
// which the daemon does not read as long as nothing is to be deployed.
func checkStored(w *engine.Engine) []Finding {
	var found []Finding
	for _, s := range w.Targets {
		_, err := w.Store.Live(s.Name)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		f := finding("store", s.Name, "", err)
		var broken *durable.BrokenError
		if errors.As(err, &broken) && s.External() == nil {
			f.Remedy = "restore it from a backup, or get another: keypaird issue -force " + s.Name
		}
		found = append(found, f)
	}
	return found
}
