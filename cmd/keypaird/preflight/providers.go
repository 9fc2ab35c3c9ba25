package preflight

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"

	"keypaird/acme/dns01"
	"keypaird/cmd/keypaird/config"
	"keypaird/renew/textfmt"
)

// AskChild returns a command that runs the child without any secrets.
func AskChild(ctx context.Context, child string, argv ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, child, argv...)
	cmd.Env = []string{}
	return cmd
}

// checkProviders asks the child whether it knows the provider of each account. The
// configuration does not know them.
func checkProviders(ctx context.Context, cfg *config.Config) []Finding {
	var found []Finding
	child, err := dns01.FindChild()
	if err != nil && len(cfg.DNS) > 0 {
		return []Finding{finding("dns", "accounts", "", err)}
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.DNS)) {
		provider := cfg.DNS[name].Provider
		f := Finding{Check: "dns", Subject: name, Result: Failed}
		out, err := AskChild(ctx, child, "-json", "-describe", provider).Output()
		var known struct {
			BuiltIn bool `json:"built_in"`
		}
		switch {
		case err != nil:
			f.Detail = fmt.Sprintf("lego has no provider %q", provider)
			f.Remedy = ProviderRemedy(ctx, child, provider)
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

// ProviderRemedy returns the remedy for a provider that the child does not know.
func ProviderRemedy(ctx context.Context, child, provider string) string {
	out, err := AskChild(ctx, child, "-list").Output()
	if err != nil {
		return "name one of: keypaird dns"
	}
	var list []string
	for line := range strings.Lines(string(out)) {
		if fields := strings.Fields(line); len(fields) > 0 {
			list = append(list, fields[0])
		}
	}
	if near := textfmt.Nearest(provider, list); near != "" {
		return fmt.Sprintf("did you mean %q? keypaird dns lists all", near)
	}
	return "name one of: keypaird dns"
}
