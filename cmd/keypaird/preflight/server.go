package preflight

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/hooks"
	"keypaird/hooks/preset"
	"keypaird/hooks/probe"
)

// presetOf returns the name of a deployment's preset; it may not exist.
func presetOf(cfg *config.Config, deployment string) string {
	t := cfg.Deploy[deployment]
	return cmp.Or(t.Preset, deployment)
}

// checkSettings warns of what keeps a deployment from working and shows without the
// network. d is called for once, whatever the number of its targets.
func checkSettings(cfg *config.Config, d *hooks.Deployment) []Finding {
	var found []Finding
	warn := func(detail, remedy string) {
		found = append(found, Finding{Check: "deploy", Subject: d.Name, Result: Warning, Detail: detail, Remedy: remedy})
	}
	p := presetOf(cfg, d.Name)
	if len(d.Verify) == 0 {
		warn("without verify, certificates are deployed, not verified: nobody notices if the server does not serve them", verifyRemedy(p, d.Name))
	}
	own := !cfg.Deploy[d.Name].Sets("reload")
	if preset.NeedsRoot(p) && own && os.Geteuid() != 0 {
		warn(fmt.Sprintf("its check and reload need root, and this is user %d", os.Geteuid()), "run keypaird as root, or set check and reload of [deploy."+d.Name+"] to commands that this user may run")
	}
	if detail, remedy := socketProblem(d.Socket); detail != "" {
		warn(detail, remedy)
	}
	return found
}

// verifyRemedy shows the line that the table of a deployment lacks.
func verifyRemedy(p, deployment string) string {
	where := preset.UsualEndpoints(p)
	if len(where) == 0 {
		where = []string{"127.0.0.1:443"}
	}
	return fmt.Sprintf("add to [deploy.%s], with what the server listens on: verify = [%q]", deployment, where[0])
}

// socketProblem returns why haproxy's stats socket cannot be used, or "".
func socketProblem(path string) (detail, remedy string) {
	if path == "" {
		return "", ""
	}
	fi, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no socket " + path, "start haproxy with this line in its global section: stats socket " + path + " mode 600 level admin"
	case err != nil:
		return err.Error(), ""
	case fi.Mode()&fs.ModeSocket == 0:
		return path + " is not a socket", "name haproxy's stats socket"
	case unix.Access(path, unix.W_OK) != nil:
		return "this user may not write to " + path, "add user or group, and mode 660, to its stats socket line in haproxy's configuration"
	case fi.Mode()&0o002 != 0:
		return "every user may write to " + path + ", and so change what haproxy serves", "add mode 660 to its stats socket line in haproxy's configuration"
	}
	return "", ""
}

// checkServers checks, once for each deployment, that its endpoints answer and that
// the configuration of its server names the files of its targets.
func checkServers(ctx context.Context, e *engine.Engine) []Finding {
	targets := map[string][]string{}
	var names []string
	for _, t := range e.Targets {
		for _, d := range t.Deploy {
			if targets[d.String()] == nil {
				names = append(names, d.String())
			}
			targets[d.String()] = append(targets[d.String()], t.Name)
		}
	}
	var tasks []func() []Finding
	for _, name := range names {
		d := e.Deployments[name]
		tasks = append(tasks,
			func() []Finding { return checkSettings(e.Config, d) },
			func() []Finding { return checkNamed(ctx, e, d, targets[name]) },
			func() []Finding { return checkSocket(ctx, d, targets[name]) })
		for _, endpoint := range d.Verify {
			tasks = append(tasks, func() []Finding { return checkListening(ctx, e.Config, d, endpoint.Endpoint) })
		}
	}
	return runAll(tasks)
}

// checkListening warns of an endpoint that no server listens on.
func checkListening(ctx context.Context, cfg *config.Config, d *hooks.Deployment, endpoint probe.Endpoint) []Finding {
	_, err := probe.Dial(ctx, endpoint, endpoint.Host)
	failed, ok := errors.AsType[*probe.Error](err)
	if !ok || failed.Stage != probe.Connecting {
		return nil // which certificate it serves is for verify
	}
	server := "the server of [deploy." + d.Name + "]"
	if p := presetOf(cfg, d.Name); slices.Contains(preset.Names(), p) {
		server = p
	}
	return []Finding{{
		Check: "deploy", Subject: d.Name, Result: Warning, Detail: "nothing answers at " + endpoint.String() + ": " + failed.Err.Error(),
		Remedy: server + " should listen there: start it, correct its configuration, or correct verify of [deploy." + d.Name + "]",
	}}
}

// checkNamed warns of files that the configuration of the server does not name.
func checkNamed(ctx context.Context, e *engine.Engine, d *hooks.Deployment, targets []string) []Finding {
	server := presetOf(e.Config, d.Name)
	named, known, err := preset.Configured(ctx, server, d)
	if !known {
		return nil
	}
	has := func(target string) bool { return slices.ContainsFunc(filesOf(e, d, target), named.Has) }
	if err != nil {
		missing := func(target string) bool {
			_, err := os.Stat(filesOf(e, d, target)[0])
			return has(target) && errors.Is(err, fs.ErrNotExist)
		}
		if slices.ContainsFunc(targets, missing) {
			return nil // the server names the first file that it misses, and no more
		}
		if os.Geteuid() != 0 && preset.NeedsRoot(server) {
			return nil // its configuration may be correct: it answers only root
		}
		return []Finding{{
			Check: "deploy", Subject: d.Name, Result: Warning, Detail: "which files " + server + " uses is not known: " + err.Error(),
			Remedy: "correct the configuration of " + server,
		}}
	}
	var found []Finding
	for _, target := range targets {
		if has(target) {
			continue
		}
		lines := strings.Join(preset.SetupFor(server, d, target, e.Config.State), "\n")
		files := filesOf(e, d, target)
		usual := max(0, slices.IndexFunc(files, func(path string) bool { return strings.Contains(lines, path) }))
		found = append(found, Finding{
			Check: "deploy", Subject: d.Name + " for " + target, Result: Warning,
			Detail: fmt.Sprintf("the configuration of %s does not name %s: it serves its old files until it does", server, files[usual]),
			Remedy: "add these lines to it:\n" + lines,
		})
	}
	if len(found) == 0 {
		found = append(found, finding("deploy", d.Name, "the configuration of "+server+" names its files", nil))
	}
	return found
}

// filesOf lists the files with the certificate of a target that a server may name,
// the usual one first.
func filesOf(e *engine.Engine, d *hooks.Deployment, target string) []string {
	if files := d.Paths(target); len(files) > 0 {
		return files
	}
	live := filepath.Join(e.Store.Dir(target), "live")
	return []string{filepath.Join(live, "fullchain.pem"), filepath.Join(live, "combined.pem"), filepath.Join(live, "cert.pem")}
}
