package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"

	"keypaird/acme/dns01"
	"keypaird/cmd/keypaird/config"
)

// dns lists lego's providers, or tells the variables of one. Only the child
// knows them.
func (a *app) dns(ctx context.Context, args []string) error {
	flags := a.flags("dns")
	asJSON := flags.Bool("json", false, "print as JSON")
	if err := parse(flags, args); err != nil {
		return err
	}
	if flags.NArg() > 1 {
		return &UsageError{"dns takes one provider"}
	}
	child, err := dns01.FindChild()
	if err != nil {
		return err
	}
	argv := []string{"-list"}
	if flags.NArg() == 1 {
		argv = []string{"-describe", flags.Arg(0)}
	}
	if *asJSON {
		argv = append([]string{"-json"}, argv...)
	}
	cmd := askChild(ctx, child, argv...)
	cmd.Stdout, cmd.Stderr = a.stdout, a.stderr
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			printRemedy(a.stderr, providerRemedy(ctx, child, flags.Arg(0)))
			return errSaid // by the child, on standard error
		}
		return fmt.Errorf("running %s: %w", child, err)
	}
	return nil
}

// askChild is a question to the child that takes no secrets to answer.
func askChild(ctx context.Context, child string, argv ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, child, argv...)
	cmd.Env = []string{}
	return cmd
}

// checkProviders asks the child whether it knows the provider of each account:
// the configuration alone cannot tell.
func checkProviders(ctx context.Context, cfg *config.Config) []Finding {
	var found []Finding
	child, err := dns01.FindChild()
	if err != nil && len(cfg.DNS) > 0 {
		return []Finding{finding("dns", "accounts", "", err)}
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.DNS)) {
		provider := cfg.DNS[name].Provider
		f := Finding{Check: "dns", Subject: name, Result: Failed}
		out, err := askChild(ctx, child, "-json", "-describe", provider).Output()
		var known struct {
			BuiltIn bool `json:"built_in"`
		}
		switch {
		case err != nil:
			f.Detail = fmt.Sprintf("lego has no provider %q", provider)
			f.Remedy = providerRemedy(ctx, child, provider)
		case json.Unmarshal(out, &known) == nil && !known.BuiltIn:
			f.Detail = fmt.Sprintf("the provider %q is not built into %s", provider, child)
			f.Remedy = "build keypaird-dns without -tags lean"
		default:
			continue
		}
		found = append(found, f)
	}
	return found
}

// providerRemedy is for a provider that the child does not know.
func providerRemedy(ctx context.Context, child, provider string) string {
	out, err := askChild(ctx, child, "-list").Output()
	if err != nil {
		return "name one of: keypaird dns"
	}
	var list []string
	for line := range strings.Lines(string(out)) {
		if fields := strings.Fields(line); len(fields) > 0 {
			list = append(list, fields[0])
		}
	}
	if near := config.Nearest(provider, list); near != "" {
		return fmt.Sprintf("did you mean %q? keypaird dns lists all", near)
	}
	return "name one of: keypaird dns"
}
