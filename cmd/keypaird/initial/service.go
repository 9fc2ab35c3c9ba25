package initial

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/preflight"
	"keypaird/hooks/preset"
)

// unit reports whether the service of the packages is installed, for the file that it reads.
func (w *draft) unit() bool {
	return w.path == config.DefaultPath && slices.ContainsFunc([]string{"/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}, func(dir string) bool {
		return exists(filepath.Join(dir, "keypaird.service"))
	})
}

// daemon returns the commands that start the daemon, now and at each boot.
func (w *draft) daemon() []string {
	switch {
	case w.unit():
		return []string{"systemctl enable --now keypaird.service"}
	case w.path == config.DefaultPath && runtime.GOOS == "openbsd" && exists("/etc/rc.d/keypaird"):
		return []string{"rcctl enable keypaird", "rcctl start keypaird"}
	case w.path == config.DefaultPath && runtime.GOOS == "freebsd" && exists("/usr/local/etc/rc.d/keypaird"):
		return []string{"service keypaird enable", "service keypaird start"}
	}
	return []string{w.command() + " run"}
}

// needsRoot reports whether the service of the packages, which has a user of its own, has
// to do what only root can.
func (w *draft) needsRoot(cfg *config.Config) bool {
	return w.group >= 0 && w.unit() && slices.ContainsFunc(w.deploy, func(name string) bool {
		d := cfg.Deployment(name)
		return preset.NeedsRoot(name) || len(d.Outputs()) > 0
	})
}

// service says how the service may do what only root can. It returns what comes before
// commands that are run as the user of the service.
func (w *draft) service(ctx context.Context, s *steps, cfg *config.Config) (as string) {
	switch {
	case w.group < 0 || !w.unit():
		return ""
	case !w.needsRoot(cfg):
		return "runuser -u keypaird -- "
	}
	p := preflight.Prepare(ctx, cfg, "")
	commands := p.Commands
	if !p.Known() { // systemd does not run: twice does no harm
		commands = preflight.BecomeRoot(cfg.State)
	}
	if w.prepared || len(commands) == 0 {
		return ""
	}
	s.step("The service runs as the user keypaird, and deploying to %s needs root. Let it be root, in its sandbox, and give it its state:", words(w.deploy))
	s.commands(commands...)
	return ""
}

// prepare lets the service do what it has to, and then has servers that read the state
// start before the first certificate is there. What fails is left to the operator.
func (w *draft) prepare(ctx context.Context, cfg *config.Config) {
	if w.path != config.DefaultPath || os.Geteuid() != 0 {
		return
	}
	if w.needsRoot(cfg) {
		p := preflight.Prepare(ctx, cfg, "")
		did, err := p.Do(ctx)
		w.wrote = append(w.wrote, did...)
		if w.prepared = err == nil && p.Known(); !w.prepared {
			return
		}
	} else if w.unit() && w.group >= 0 {
		return // the state is another user's
	}
	w.standIn(ctx, cfg)
}

// standIn writes stand-ins for servers that read the state directory.
func (w *draft) standIn(ctx context.Context, cfg *config.Config) {
	e, err := engine.New(cfg, engine.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return
	}
	end, err := e.Begin(ctx, func(string) {})
	if err != nil {
		return
	}
	defer end()
	var servers []string
	written, errs := e.WriteStandIns(ctx, e.Targets, func(name string) bool {
		d := e.Deployments[name]
		if d == nil || len(d.Outputs()) > 0 {
			return false
		}
		if !slices.Contains(servers, name) {
			servers = append(servers, name)
		}
		return true
	})
	if w.stoodIn = len(errs) == 0; len(written) > 0 {
		w.wrote = append(w.wrote, fmt.Sprintf("%s/certs/*/live: self-signed stand-ins, with which %s starts until certificates are there", cfg.State, words(servers)))
	}
}
