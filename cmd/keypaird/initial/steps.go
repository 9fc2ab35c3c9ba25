package initial

import (
	"context"
	"slices"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/preflight"
	"keypaird/renew/textfmt"
)

// steps returns what is left to do after the configuration has been written.
func (w *draft) steps(ctx context.Context, cfg *config.Config) string {
	s := &steps{Writer: textfmt.Writer{Width: columns}}
	if w.old {
		s.Item("", "nothing was changed; the steps of "+w.path+" once more:")
	} else {
		for _, line := range append([]string{w.path}, w.wrote...) {
			s.Item("wrote ", line)
		}
	}
	w.account(s)
	w.lacking(ctx, s, cfg)
	w.port80Step(s)
	for _, name := range w.deploy {
		w.serverStep(s, cfg, name)
	}
	keypaird := w.service(ctx, s, cfg) + w.command()
	w.reloadStep(ctx, s, cfg, keypaird)
	s.step("Try everything, with an order of each certificate at the CA's twin for tests; then, if nothing fails, obtain the certificates, deploy them, and verify that they are served:")
	s.commands(keypaird + " issue -check")
	s.step("Let the daemon renew them:")
	s.commands(w.daemon()...)
	s.Blank()
	s.text("To let no other account certify these names, add the CAA records that this shows:")
	s.commands(keypaird + " account")
	return s.String()
}

// lacking says what check will complain of about the servers: what this machine lacks. If
// the service lacks something, a step of its own mends that.
func (w *draft) lacking(ctx context.Context, s *steps, cfg *config.Config) {
	var later []preflight.Finding
	if w.needsRoot(cfg) {
		later = preflight.Sandbox(ctx, cfg)
	}
	found := slices.DeleteFunc(preflight.Configuration(ctx, cfg), func(f preflight.Finding) bool {
		return f.Check != "deploy" || f.Result == preflight.Good || slices.Contains(later, f)
	})
	if len(found) > 0 {
		s.step("Make what the servers need and this machine lacks:")
	}
	for _, f := range found {
		s.Item("   - ", f.Subject+": "+f.Detail)
		if f.Remedy != "" {
			s.Item("       ", f.Remedy)
		}
	}
}
