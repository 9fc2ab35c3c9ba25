package preflight

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"keypaird/acme/dns01"
	"keypaird/acme/dns01/need"
	"keypaird/cmd/keypaird/config"
	"keypaird/renew/launch"
	"keypaird/renew/process"
	"keypaird/renew/textfmt"
)

// AskChild returns a command that runs the child without any secrets.
func AskChild(ctx context.Context, child string, argv ...string) (*process.Cmd, error) {
	user, err := launch.NetUser()
	if err != nil {
		return nil, err
	}
	return launch.Command(ctx, launch.Child{Path: child, Args: argv, User: user})
}

// ShowProviders has keypaird-dns print all providers, or describe one of them. If it has
// printed why it cannot, there is a remedy.
func ShowProviders(ctx context.Context, provider string, asJSON bool, stdout, stderr io.Writer) (remedy string, err error) {
	argv := []string{"-list"}
	if provider != "" {
		argv = []string{"-describe", provider}
	}
	if asJSON {
		argv = append([]string{"-json"}, argv...)
	}
	child, err := dns01.FindChild()
	if err != nil {
		return "", err
	}
	cmd, err := AskChild(ctx, child, argv...)
	if err != nil {
		return "", err
	}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err = cmd.Run()
	switch {
	case cmd.ExitCode() > 0:
		return ProviderRemedy(ctx, child, provider), nil
	case err != nil:
		return "", fmt.Errorf("running %s: %w", child, err)
	}
	return "", nil
}

// output returns what the child prints.
func output(ctx context.Context, child string, argv ...string) ([]byte, error) {
	cmd, err := AskChild(ctx, child, argv...)
	if err != nil {
		return nil, err
	}
	return cmd.Output()
}

// HasProvider reports whether the keypaird-dns that is installed knows a provider.
func HasProvider(code string) bool {
	child, err := dns01.FindChild()
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err = output(ctx, child, "-describe", code)
	return err == nil
}

// A description is that of a provider by keypaird-dns.
type description struct {
	BuiltIn               bool `json:"built_in"`
	Credentials, Optional []struct{ Name string }
}

// checkProviders asks the child whether it has the provider of each account, and the
// variables: it may be another version, or built with few providers.
func checkProviders(ctx context.Context, cfg *config.Config) []Finding {
	if !cfg.OrdersHere() {
		return nil
	}
	var found []Finding
	child, err := dns01.FindChild()
	if err != nil && len(cfg.DNS) > 0 {
		return []Finding{finding("dns", "accounts", "", err)}
	}
	found = append(found, checkUsers(cfg)...)
	for _, name := range slices.Sorted(maps.Keys(cfg.DNS)) {
		provider := cfg.DNS[name].Provider
		f := Finding{Check: "dns", Subject: name, Result: Failed}
		out, err := output(ctx, child, "-json", "-describe", provider)
		var d description
		switch {
		case errors.Is(err, syscall.EPERM):
			f.Detail, f.Remedy = fmt.Sprintf("%s: %v", child, err), need.UsersRemedy
		case err != nil:
			f.Detail = fmt.Sprintf("%s does not know the provider %q", child, provider)
			f.Remedy = "install keypaird and keypaird-dns of the same version"
		case json.Unmarshal(out, &d) != nil:
			continue
		case !d.BuiltIn:
			f.Detail = fmt.Sprintf("the provider %q is not built into %s", provider, child)
			f.Remedy = "build keypaird-dns without -tags lean"
		default:
			found = append(found, d.checkVariables(name, cfg.DNS[name])...)
			continue
		}
		found = append(found, f)
	}
	return found
}

const ownUser = "let keypaird be root, which gives keypaird-dns a user of its own, with no right to any file that holds a key"

// checkUsers reports what users do not separate: keypaird-dns from a keypaird that is not
// root and cannot give it another, and accounts that have the same one; and it warns of
// files that the user of an account may not use.
func checkUsers(cfg *config.Config) (found []Finding) {
	same := map[string][]string{} // accounts by user
	for _, name := range slices.Sorted(maps.Keys(cfg.DNS)) {
		d := cfg.DNS[name]
		u, err := need.User(d.User)
		if err != nil {
			found = append(found, finding("dns", name, "", err))
			continue
		}
		same[u.Username] = append(same[u.Username], name)
		for _, path := range need.For(d.Provider, d.Env, d.User, u).Unusable(u) {
			found = append(found, Finding{Check: "dns", Subject: name, Result: Warning, Detail: fmt.Sprintf("user %s, which keypaird-dns has, may not use %s", u.Username, path),
				Remedy: fmt.Sprintf("let that user use it: chgrp %s, chmod g+rX, and its directories; or set the variables in [dns.%s] env, which keypaird dns %s lists; or name another user there", u.Username, name, d.Provider)})
		}
	}
	for _, user := range slices.Sorted(maps.Keys(same)) {
		names := same[user]
		switch {
		case os.Geteuid() != 0:
			means := cmp.Or(launch.Means(), "what this system has")
			found = append(found, Finding{Check: "dns", Subject: strings.Join(names, ", "), Result: Good,
				Detail: fmt.Sprintf("keypaird-dns has keypaird's user, %s: it is kept from keypaird's files and processes by %s alone", user, means), Remedy: ownUser})
		case len(names) > 1:
			own := launch.DNSUser + "-" + names[0]
			found = append(found, Finding{Check: "dns", Subject: strings.Join(names, ", "), Result: Good, Detail: "these accounts have the same user, " + user,
				Remedy: fmt.Sprintf("to keep one account from another by users as well: %s; then user = %q in [dns.%s]", launch.MakeUser(own), own, names[0])})
		}
	}
	return found
}

// checkVariables warns of variables that look like misspelt ones of the provider. Others
// may be right: packages that a provider uses read some that lego does not document.
func (d description) checkVariables(account string, c config.DNS) []Finding {
	var known []string
	for _, v := range slices.Concat(d.Credentials, d.Optional) {
		known = append(known, v.Name)
		if rest, ok := strings.CutPrefix(v.Name, "RFC2136_"); ok {
			known = append(known, "DNSUPDATE_"+rest)
		}
	}
	var found []Finding
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		base := strings.TrimSuffix(name, "_FILE")
		if slices.Contains(known, name) || slices.Contains(known, base) {
			continue
		}
		if near := textfmt.Misspelt(base, known); near != "" && c.Env[near] == "" {
			found = append(found, Finding{Check: "dns", Subject: account, Result: Warning,
				Detail: fmt.Sprintf("%s is not among the variables of %s", name, c.Provider), Remedy: fmt.Sprintf("did you mean %s?", near)})
		}
	}
	return found
}

// ProviderRemedy returns the remedy for a provider that the child does not know.
func ProviderRemedy(ctx context.Context, child, provider string) string {
	out, err := output(ctx, child, "-list")
	if err != nil {
		return "name one of: keypaird dns"
	}
	var list []string
	for line := range strings.Lines(string(out)) {
		if fields := strings.Fields(line); len(fields) > 0 {
			list = append(list, fields[0])
		}
	}
	if near := cmp.Or(need.Meant(provider), textfmt.Nearest(provider, list)); near != "" {
		return fmt.Sprintf("did you mean %q? keypaird dns lists all", near)
	}
	return "name one of: keypaird dns"
}
