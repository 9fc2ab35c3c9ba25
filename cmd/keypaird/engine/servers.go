package engine

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"keypaird/hooks/preset"
	"keypaird/renew"
	"keypaird/renew/unconfigured"
)

// Prepare prepares a pass over targets: renamed targets get the certificates of their old
// names, and servers that do not run, and may not start without their files, get stand-ins:
// http-01 may have to go through them. It returns the certificates of targets that are no
// longer configured. The caller holds the lock of the state directory.
func (e *Engine) Prepare(ctx context.Context, targets []renew.Target, records *renew.Records) []unconfigured.Certificate {
	e.logExposed(targets)
	list := e.CopyRenamed(targets, records)
	stopped := map[string]bool{}
	written, errs := e.WriteStandIns(ctx, targets, func(deployment string) bool {
		is, known := stopped[deployment]
		if !known {
			is = preset.Stopped(ctx, cmp.Or(e.Config.Deploy[deployment].Preset, deployment))
			stopped[deployment] = is
		}
		return is
	})
	for _, s := range written {
		e.options.Log.Warn("wrote a self-signed stand-in, since the server does not run and its files were missing: start it", "cert", s.Target, "files", s.Files)
	}
	for _, err := range errs {
		e.options.Log.Warn("stand-in not written", "err", err, "remedy", renew.Remedy(err))
	}
	return list
}

// StandIns are those that were written.
type StandIns []StandIn

// WriteStandIns writes stand-ins for targets, to those of their deployments that want
// accepts.
func (e *Engine) WriteStandIns(ctx context.Context, targets []renew.Target, want func(deployment string) bool) (written StandIns, errs []error) {
	written = StandIns{} // an array in JSON
	for _, t := range targets {
		s, err := e.writeStandIn(ctx, t, want)
		if err != nil {
			errs = append(errs, err)
		}
		if s != nil {
			written = append(written, *s)
		}
	}
	return written, errs
}

// WriteText writes a line for each.
func (list StandIns) WriteText(w io.Writer) error {
	for _, s := range list {
		if _, err := fmt.Fprintf(w, "%s: self-signed stand-in in %s, valid until %s\n", s.Target, strings.Join(s.Files, " "), s.NotAfter.Format(time.RFC3339)); err != nil {
			return err
		}
	}
	return nil
}
