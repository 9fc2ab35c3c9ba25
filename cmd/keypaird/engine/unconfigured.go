package engine

import (
	"strings"
	"time"

	"keypaird/renew"
	"keypaird/renew/notify"
	"keypaird/renew/unconfigured"
)

// Unconfigured returns the certificates of targets that are no longer configured. Those
// that cannot be read are left out; the error says why.
func (e *Engine) Unconfigured() ([]unconfigured.Certificate, error) {
	return unconfigured.Find(e.Store, e.Targets)
}

// LogUnconfigured logs the certificates of targets that are no longer configured and may
// still be in use.
func (e *Engine) LogUnconfigured() {
	list, err := e.Unconfigured()
	if err != nil {
		e.options.Log.Warn("not configured any more and not readable", "err", err, "remedy", renew.Remedy(err))
	}
	for _, c := range list {
		if files := c.InUse(); len(files) > 0 {
			e.options.Log.Warn("not configured any more", "cert", c.Name, "files", strings.Join(files, " "),
				"not_after", c.Version.Pair.Leaf.NotAfter, "remedy", notify.UnconfiguredRemedy(c.Name))
		}
	}
}

// left returns the files that deployments of a target wrote before the configuration
// moved them, and that are still there.
func (e *Engine) left(t renew.Target, rec renew.Record) []unconfigured.LeftFile {
	return unconfigured.Left(e.Store, e.Targets, t, rec)
}

// removeLeft forgets these files of targets called name and, if files is set, removes
// them. It returns those removed and those that stay. The caller holds the lock of the
// state directory.
func (e *Engine) removeLeft(name string, files bool) (removed, left []string, err error) {
	for _, t := range e.Select(map[string]bool{name: true}) {
		removed, left, err = unconfigured.RemoveLeft(e.Store, e.Targets, t, files)
	}
	return removed, left, err
}

// CopyRenamed gives those of targets that were renamed the certificates of their old names,
// and returns the certificates of targets that are no longer configured. The caller holds
// the lock of the state directory.
func (e *Engine) CopyRenamed(targets []renew.Target, records *renew.Records) []unconfigured.Certificate {
	list, err := e.Unconfigured()
	if err != nil {
		e.options.Log.Debug("not configured any more and not readable", "err", err)
	}
	unconfigured.CopyRenamed(e.Store, records, list, targets, time.Now().Round(0), e.options.Log)
	return list
}
