package engine

import (
	"path/filepath"

	"keypaird/renew"
	"keypaird/renew/exposed"
	"keypaird/renew/problem"
)

// WithNewKeys returns targets with NewKey set, so that their next certificates have other
// keys. A next key that other users could read is removed, so that another is made.
// External certificates, which get new keys with their files, are left out, or a mistake if
// they were named. The caller holds the lock of the state directory.
func (e *Engine) WithNewKeys(targets []renew.Target, named bool) (list []renew.Target, err error) {
	for _, t := range targets {
		if t.External() != nil && named {
			return nil, problem.Newf("have its CA certify another key, and replace both files: keypaird imports them", "cert %q: the key of an external certificate comes with its files", t.Name)
		}
		if t.External() != nil {
			continue
		}
		if f := exposed.Check(filepath.Join(e.Store.Dir(t.Name), renew.NextKeyFile), 0o600, e.stateOwner()); f.Kind > exposed.Loose {
			e.options.Log.Warn("next key replaced, since another user may have copied it", "cert", t.Name, "file", f.Path, "why", f.Why)
			if err := e.Store.RemoveAll(t.Name, renew.NextKeyFile); err != nil {
				return nil, err
			}
		}
		t.NewKey = true
		list = append(list, t)
	}
	return list, nil
}
