package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"keypaird/cmd/keypaird/engine"
	"keypaird/hooks/preset"
	"keypaird/renew"
)

// standIns are those that were written.
type standIns []engine.StandIn

// WriteText writes a line for each.
func (list standIns) WriteText(w io.Writer) error {
	for _, s := range list {
		if _, err := fmt.Fprintf(w, "%s: self-signed stand-in in %s, valid until %s\n", s.Target, strings.Join(s.Files, " "), s.NotAfter.Format(time.RFC3339)); err != nil {
			return err
		}
	}
	return nil
}

// deployStandIns writes stand-ins for the targets called names, or all.
func deployStandIns(ctx context.Context, e *env, names []string, asJSON bool) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	w, end, err := e.begin(ctx, cfg, logger(e.stderr, slog.LevelInfo))
	if err != nil {
		return err
	}
	defer end()
	targets, err := w.Find(names)
	if err != nil {
		return err
	}
	written, errs := writeStandIns(ctx, w, targets, func(string) bool { return true })
	if err := e.print(written, asJSON); err != nil {
		return err
	}
	switch {
	case len(errs) > 0:
		report(e.stderr, errs...)
		return errReported
	case len(written) == 0:
		return errNothing
	}
	return nil
}

// writeStandIns writes stand-ins to those deployments of targets that want accepts.
func writeStandIns(ctx context.Context, w *engine.Engine, targets []renew.Target, want func(deployment string) bool) (written standIns, errs []error) {
	written = standIns{} // an array in JSON
	for _, t := range targets {
		s, err := w.WriteStandIn(ctx, t, want)
		if err != nil {
			errs = append(errs, err)
		}
		if s != nil {
			written = append(written, *s)
		}
	}
	return written, errs
}

// helpServersStart writes stand-ins where a preset's server does not run and may not
// start without them: http-01 may have to go through that server.
func helpServersStart(ctx context.Context, w *engine.Engine, targets []renew.Target, log *slog.Logger) {
	stopped := map[string]bool{}
	written, errs := writeStandIns(ctx, w, targets, func(deployment string) bool {
		is, known := stopped[deployment]
		if !known {
			is = preset.Stopped(ctx, cmp.Or(w.Config.Deploy[deployment].Preset, deployment))
			stopped[deployment] = is
		}
		return is
	})
	for _, s := range written {
		log.Warn("wrote a self-signed stand-in, since the server does not run and its files were missing: start it", "cert", s.Target, "files", s.Files)
	}
	for _, err := range errs {
		log.Warn("stand-in not written", "err", err, "remedy", renew.Remedy(err))
	}
}
