package preflight

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/hooks"
	"keypaird/renew/durable"
	"keypaird/renew/status"
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

// checkStateDir tries whether the file system of the state directory has what is needed. It
// says nothing where the user may not write: others report that.
func checkStateDir(cfg *config.Config) []Finding {
	dir := cfg.State
	for _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir); _, err = os.Stat(dir) {
		dir = filepath.Dir(dir)
	}
	d, err := durable.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	if err := d.Try(cfg.State); durable.IsUnsupported(err) {
		return []Finding{finding("store", cfg.State, "", err)}
	}
	return nil
}

// checkRemovedNames warns of external certificates that lack names of the ones in
// use: they may be for another server.
func checkRemovedNames(e *engine.Engine) []Finding {
	var found []Finding
	for _, s := range e.Targets {
		x := s.External()
		if x == nil {
			continue
		}
		live, err := e.Store.Live(s.Name)
		if err != nil {
			continue
		}
		next, err := x.Read(time.Now())
		if err != nil {
			continue
		}
		have := next.Names()
		removed := slices.DeleteFunc(live.Pair.Names(), func(name string) bool { return slices.Contains(have, name) })
		if len(removed) > 0 {
			found = append(found, Finding{
				Check: engine.TypeExternal, Subject: s.Name, Result: Warning,
				Detail: "the certificate in " + x.Chain + " lacks " + strings.Join(removed, " ") + ", which the one in use has",
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
	for _, s := range e.Targets {
		_, err := e.Store.Live(s.Name)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		f := finding("store", s.Name, "", err)
		var broken *durable.BrokenError
		if errors.As(err, &broken) && s.External() == nil {
			f.Remedy = fmt.Sprintf("to repair it: keypaird issue %[1]s; if its other files do not allow that, restore it from a backup, or order another: keypaird issue -force %[1]s", s.Name)
		}
		found = append(found, f)
	}
	return found
}

// checkExposed warns of private keys that other users can read: of the targets, of their
// accounts, and of whatever else the state directory holds.
func checkExposed(e *engine.Engine) []Finding {
	var found []Finding
	known := map[string]bool{}
	for _, t := range e.Targets {
		for _, x := range e.Exposed(t) {
			if !known[x.Files[0]] {
				found = append(found, Finding{Check: "store", Subject: t.Name, Result: Warning, Detail: x.Error, Remedy: x.Remedy})
			}
			for _, file := range x.Files {
				known[file] = true
			}
		}
	}
	for _, x := range e.ExposedInState() {
		if !known[x.Files[0]] {
			found = append(found, Finding{Check: "store", Subject: e.Config.State, Result: Warning, Detail: x.Error, Remedy: x.Remedy})
		}
	}
	return found
}

// checkUnconfigured warns of certificates that are no longer configured, and still
// deployed, and of files that the configuration has moved.
func checkUnconfigured(e *engine.Engine) []Finding {
	doc, err := status.Collect(e.Status(e.Targets, nil), time.Now())
	if err != nil {
		return []Finding{finding("store", e.Config.State, "", err)}
	}
	var found []Finding
	for _, u := range doc.Unconfigured {
		found = append(found, Finding{Check: "store", Subject: u.Name, Result: Warning, Detail: u.Where(), Remedy: u.Remedy})
	}
	for _, t := range doc.Targets {
		for _, f := range t.Left {
			found = append(found, Finding{Check: "store", Subject: t.Name, Result: Warning, Detail: status.WhereLeft(f), Remedy: status.LeftRemedy(t.Name)})
		}
	}
	return found
}

// checkState checks the state directory without an engine, for users who can read the state
// directory. It makes none.
func checkState(cfg *config.Config) []Finding {
	if _, err := os.ReadDir(filepath.Join(cfg.State, "certs")); err != nil {
		return nil
	}
	e, err := engine.New(cfg, engine.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return []Finding{finding("store", cfg.State, "", err)}
	}
	defer e.Close()
	return slices.Concat(checkExposed(e), checkStored(e), checkUnconfigured(e))
}
