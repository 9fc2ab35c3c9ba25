package main

import (
	"errors"
	"io/fs"

	"keypaird/hooks"
	"keypaird/renew/keypair"
)

// checkNotify looks for the program of [notify], as for those of deployments:
// that it is not there would else be noticed when it is needed.
func checkNotify(cfg *Config) []Finding {
	d := hooks.Deployment{Reload: cfg.Notify.Command}
	if err := d.Runnable(); err != nil {
		return []Finding{finding("configuration", "notify.command", "", err)}
	}
	return nil
}

// checkStored looks whether the pairs that are live are whole, keys included,
// which the daemon does not read as long as nothing is to be deployed.
func (w *wiring) checkStored() []Finding {
	var found []Finding
	for _, s := range w.subjects {
		_, err := w.store.Live(s.Name)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		f := finding("store", s.Name, "", err)
		var broken *keypair.BrokenError
		if errors.As(err, &broken) && s.External == nil {
			f.Remedy = "restore it from a backup, or get another: keypaird issue -force " + s.Name
		}
		found = append(found, f)
	}
	return found
}
