package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"keypaird/cmd/keypaird/config"
	"keypaird/hooks"
	"keypaird/hooks/preset"
)

// check reads the configuration and reports every mistake; with -live it also
// tries what issuing needs. It orders nothing.
func (a *app) check(ctx context.Context, args []string) error {
	flags := a.flags("check")
	live := flags.Bool("live", false, "try what issuing needs: CAs, DNS accounts, http-01, CAA, files, TLSA records; and see which names peers need")
	asJSON := flags.Bool("json", false, "print the findings as JSON")
	if err := parse(flags, args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return &UsageError{"check takes no names"}
	}
	cfg, err := a.load()
	if err != nil {
		return a.mistaken(err, *asJSON)
	}
	found := []Finding{}
	if *live {
		if found, err = a.checkWithEngine(ctx, cfg); err != nil {
			return err
		}
	} else {
		found = slices.Concat(found, checkPage(cfg), checkNotify(cfg), checkBought(cfg, false), checkProviders(ctx, cfg), checkFiles(cfg))
	}
	if *asJSON {
		if err := a.printJSON(found); err != nil {
			return err
		}
	} else {
		a.printFindings(found)
	}
	failed := 0
	for _, f := range found {
		if f.Result == Failed {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d checks failed", failed, len(found))
	}
	if !*asJSON {
		n := len(cfg.Targets())
		fmt.Fprintf(a.stdout, "configuration is correct: %d %s\n", n, plural(n, "target", "targets"))
	}
	return nil
}

// checkWithEngine is check -live: it tries what issuing needs.
func (a *app) checkWithEngine(ctx context.Context, cfg *config.Config) ([]Finding, error) {
	w, err := a.engine(cfg, a.logger(levelQuiet))
	if err != nil {
		return nil, err
	}
	cas, err := w.CAs()
	if err != nil {
		w.Close()
		return nil, err
	}
	lock, err := a.lock(ctx, w)
	if err != nil {
		w.Close()
		return nil, err
	}
	defer lock.Release()
	defer w.Shutdown(ctx)
	found := slices.Concat(checkPage(cfg), checkNotify(cfg), checkBought(cfg, true), checkLost(w), checkStored(w), checkLive(ctx, w, cas))
	found = append(found, checkIdentities(ctx, w, found)...)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return found, nil
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// mistaken reports a wrong configuration; as JSON if a program asked.
func (a *app) mistaken(err error, asJSON bool) error {
	var mistakes config.Mistakes
	var file *config.FileError
	found := []Finding{}
	switch {
	case !asJSON:
		return err
	case errors.As(err, &file):
		found = append(found, Finding{Check: "configuration", Subject: file.Path, Result: Failed, Detail: file.Problem, Remedy: file.Hint})
	case !errors.As(err, &mistakes):
		return err
	}
	for _, m := range mistakes {
		found = append(found, Finding{Check: "configuration", Subject: fmt.Sprintf("%s:%d", m.File, m.Line), Result: Failed, Detail: m.Key + ": " + m.Problem, Remedy: m.Remedy})
	}
	if err := a.printJSON(found); err != nil {
		return err
	}
	return errSaid
}

// A Finding is the result of one check.
type Finding struct {
	Check   string `json:"check"`   // "ca", "account", "store", "http-01", "dns-01", "dns-persist-01", "external", "caa", "tlsa", "deploy", "identity", "configuration"
	Subject string `json:"subject"` // what was checked
	Result  Result `json:"result"`
	Detail  string `json:"detail,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
}

// A Result is how a check went.
type Result string

// Results.
const (
	Good    Result = "ok"
	Warning Result = "warning"
	Failed  Result = "failed"
)

// printFindings prints a line for each, and the remedy under those that are not
// good.
func (a *app) printFindings(found []Finding) {
	for _, f := range found {
		fmt.Fprintf(a.stdout, "%-8s%s %s", f.Result, f.Check, f.Subject)
		if f.Detail != "" {
			fmt.Fprintf(a.stdout, ": %s", f.Detail)
		}
		fmt.Fprintln(a.stdout)
		if f.Remedy != "" {
			fmt.Fprintf(a.stdout, "        remedy: %s\n", strings.ReplaceAll(f.Remedy, "\n", "\n          "))
		}
	}
}

// checkPage warns of a status page that others can see. There are no secrets on
// it; what there is helps whoever means harm.
func checkPage(cfg *config.Config) []Finding {
	addr := cfg.Status.Listen
	if onLoopback(addr) {
		return nil
	}
	return []Finding{{
		Check: "configuration", Subject: "status.listen", Result: Warning, Detail: fmt.Sprintf("%q can be reached from other machines, and asks nobody who he is", addr),
		Remedy: `write "127.0.0.1:8403", and have a web server that asks for a password pass it on`,
	}}
}

// fits reports what a deployment needs and this machine does not have. set tells
// which of its settings the configuration gives, so that nobody is told to.
func fits(name string, d *hooks.Deployment, set func(setting string) bool) []Finding {
	var found []Finding
	for _, err := range preset.Missing(d) {
		f := finding("deploy", name, "", err)
		var missing *preset.MissingError
		if errors.As(err, &missing) && missing.Kind == "program" && set(missing.Setting) {
			f.Remedy = "install " + missing.What + ", or correct " + missing.Setting + " of " + config.TableHeader("deploy", name)
		}
		found = append(found, f)
	}
	if err := d.Runnable(); err != nil && len(found) == 0 {
		found = append(found, finding("deploy", name, "", err))
	}
	return found
}

// checkFiles warns of what the configuration cannot see: files beside ours that
// a server would prefer.
func checkFiles(cfg *config.Config) []Finding {
	var found []Finding
	targets := map[string][]string{} // by deployment
	warnings := map[string]func(target string) []string{}
	for _, t := range cfg.Targets() {
		for _, name := range t.Deploy {
			d := cfg.Deployment(name)
			if targets[name] == nil {
				found = append(found, fits(name, &d, cfg.Deploy[name].Sets)...)
				warnings[name] = d.Warner()
			}
			targets[name] = append(targets[name], t.Name)
			if n := len(targets[name]); d.Single && n == 2 {
				found = append(found, Finding{
					Check: "deploy", Subject: name, Result: Warning,
					Detail: fmt.Sprintf("the server presents one certificate only, and is to have those of %q and %q", targets[name][0], t.Name),
					Remedy: "set one_certificate = true in the [identity], or list all its names in one [cert]",
				})
			}
			for _, text := range warnings[name](t.Name) {
				found = append(found, Finding{Check: "deploy", Subject: name, Result: Warning, Detail: text})
			}
		}
	}
	return found
}

// onLoopback reports whether only this machine gets to an address to listen on.
func onLoopback(addr string) bool {
	if addr == "" || strings.HasPrefix(addr, "unix:") || strings.HasPrefix(addr, "fd:") {
		return true // nowhere, or a socket whose unit says who gets to it
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil || host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
