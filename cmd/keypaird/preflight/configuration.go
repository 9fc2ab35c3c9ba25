package preflight

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"keypaird/cmd/keypaird/config"
	"keypaird/hooks"
	"keypaird/hooks/preset"
)

// Configuration returns what is wrong or doubtful of a configuration on this
// machine: programs, files and DNS providers that it names. It asks nobody else.
func Configuration(ctx context.Context, cfg *config.Config) []Finding {
	return slices.Concat(checkPage(cfg), checkNotify(cfg), checkBought(cfg, false), checkProviders(ctx, cfg), checkFiles(cfg))
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

// fits lists what a deployment needs and this machine lacks. configured reports
// whether the configuration sets a command.
func fits(name string, d *hooks.Deployment, configured func(setting string) bool) []Finding {
	var found []Finding
	for _, err := range preset.Missing(d, configured) {
		found = append(found, finding("deploy", name, "", err))
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
