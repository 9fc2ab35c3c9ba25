package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// arrows says which packages of ours each may import: cmd knows all, and
// renew/durable nobody.
var arrows = map[string][]string{}

// targetArrows are the rows of the packages that the tree is to have. Each of
// them takes the place of its row above when its package has been made or freed
// of the last import that is not allowed here; until then only packages without a
// row above are held to it. hooks/verify and hooks/discover leave the program that
// holds the keys later.
var targetArrows = map[string][]string{
	"cmd/keypaird":                   {"cmd/keypaird/config", "cmd/keypaird/daemon", "cmd/keypaird/engine", "cmd/keypaird/preflight", "hooks/discover", "hooks/preset", "hooks/verify", "renew/status"},
	"cmd/keypaird/config":            {"acme", "hooks", "hooks/expect", "hooks/preset", "hooks/probe"},
	"cmd/keypaird/engine":            {"acme", "acme/dns01", "acme/http01", "acme/orderlog", "cmd/keypaird/config", "hooks", "hooks/command", "renew", "renew/renewalinfo"},
	"cmd/keypaird/daemon":            {"cmd/keypaird/engine", "hooks/command", "renew", "renew/loop", "renew/notify", "renew/status", "renew/tlsa"},
	"cmd/keypaird/preflight":         {"acme/dns01", "cmd/keypaird/config", "cmd/keypaird/engine", "hooks/discover"},
	"acme":                           {"acme/orderlog", "renew/keypair"},
	"acme/orderlog":                  {"renew/durable"},
	"acme/dns01/dnsquery":            {},
	"acme/dns01/redact":              {},
	"renew/launch":                   {},
	"cmd/keypaird-dns/child/rfc2136": {},
	"renew":                          {"renew/backoff", "renew/deployer", "renew/keypair", "renew/record", "renew/renewalinfo", "renew/rollover"},
	"renew/backoff":                  {"renew/durable"},
	"renew/durable":                  {},
	"renew/keypair":                  {"renew/durable", "renew/tlsa"},
	"renew/loop":                     {},
	"renew/notify":                   {"renew", "renew/backoff"},
	"renew/renewalinfo":              {"renew/backoff"},
	"renew/rollover":                 {"renew/durable", "renew/keypair", "renew/tlsa"},
	"renew/status":                   {"renew", "renew/backoff", "renew/notify"},
	"renew/tlsa":                     {},
	"hooks":                          {"hooks/acl", "hooks/command", "hooks/expect", "hooks/probe", "renew", "renew/keypair"},
	"hooks/command":                  {},
	"hooks/preset":                   {"hooks", "hooks/command"},
	"hooks/discover":                 {"hooks/discover/records", "hooks/discover/web", "hooks/probe", "renew/tlsa"},
	"hooks/discover/records":         {"acme/dns01/dnsquery"},
	"hooks/discover/web":             {"hooks/discover/records", "hooks/probe", "renew/textfmt"},
	"hooks/probe":                    {"renew/tlsa"},
	"hooks/verify":                   {"acme/dns01/dnsquery", "hooks/discover", "hooks/probe", "renew/tlsa"},
}

// heavy may be imported by the packages named and no others: the process that
// holds keys stays small.
var heavy = map[string][]string{
	"github.com/go-acme/lego/v4/providers": {"cmd/keypaird-dns", "cmd/keypaird-dns/child"},
	"github.com/go-acme/lego/v4/challenge": {"cmd/keypaird-dns", "cmd/keypaird-dns/child", "cmd/keypaird-dns/child/rfc2136"},
	"github.com/go-acme/lego/v4/acme":      {"acme", "acme/acmetest", "acme/refusal", "acme/transport"},
	"github.com/letsencrypt/pebble":        {"acme/acmetest"},
	"github.com/BurntSushi/toml":           {"cmd/keypaird/config", "cmd/keypaird-dns/gen"},
	"github.com/robfig/cron":               {"cmd/keypaird/config", "cmd/keypaird/schedule"},
	"github.com/miekg/dns":                 {"acme/acmetest", "acme/dns01", "acme/dns01/dnsquery", "cmd/keypaird-dns/child", "cmd/keypaird-dns/child/rfc2136", "hooks/discover", "hooks/discover/records"},
	"github.com/coreos/go-systemd":         {"acme/responder", "cmd/keypaird/daemon"},
	"github.com/prometheus/client_golang":  {"renew/status"},
	"github.com/landlock-lsm/go-landlock":  {"renew/confine", "renew/launch"},
	"github.com/elastic/go-seccomp-bpf":    {"renew/launch/syscalls"},
	"kernel.org/pub/linux":                 {"renew/confine"},
}

// No package of the target can lead back to itself.
func TestTargetArrowsLeadDown(t *testing.T) {
	var from func(pkg string, above []string)
	from = func(pkg string, above []string) {
		if slices.Contains(above, pkg) {
			t.Errorf("a circle: %s", strings.Join(append(above, pkg), " -> "))
			return
		}
		for _, to := range targetArrows[pkg] {
			from(to, append(slices.Clone(above), pkg))
		}
	}
	for pkg := range targetArrows {
		from(pkg, nil)
	}
}

func TestArrows(t *testing.T) {
	out, err := exec.Command("go", "list", "-tags", "lean", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "keypaird/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		from := strings.TrimPrefix(fields[0], "keypaird/")
		allowed, known := arrows[from]
		if !known {
			allowed, known = targetArrows[from]
		}
		if !known {
			t.Errorf("package %s has no row in arrows", from)
		}
		for _, to := range fields[1:] {
			if ours, ok := strings.CutPrefix(to, "keypaird/"); ok && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s", from, ours)
			}
			for module, by := range heavy {
				if strings.HasPrefix(to, module) && !slices.Contains(by, from) {
					t.Errorf("%s imports %s", from, to)
				}
			}
			if (from == "renew/keypair" || from == "renew/durable") && strings.Contains(to, ".") {
				t.Errorf("%s imports %s: standard library only", from, to)
			}
		}
	}
}
