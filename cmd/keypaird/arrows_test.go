package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// arrows says which packages of ours each may import: cmd knows all, and
// renew/durable nobody.
var arrows = map[string][]string{
	"acme":                           {"acme/accountfile", "acme/accountkey", "acme/answer", "acme/ari", "acme/authority", "acme/orderlog", "acme/refusal", "acme/transport", "renew/durable", "renew/keypair", "renew/problem", "renew/textfmt"},
	"acme/accountfile":               {"acme/accountkey", "acme/refusal", "renew/durable", "renew/keypair", "renew/problem"},
	"acme/accountkey":                {},
	"acme/acmetest":                  {},
	"acme/answer":                    {"renew/textfmt"},
	"acme/ari":                       {"acme/refusal", "renew/textfmt"},
	"acme/authority":                 {"renew/durable", "renew/problem"},
	"acme/dns01":                     {"acme", "acme/dns01/dnsquery", "acme/dns01/need", "acme/dns01/redact", "renew/durable", "renew/launch", "renew/launch/find", "renew/problem", "renew/process", "renew/textfmt"},
	"acme/dns01/dnsquery":            {"renew/problem", "renew/sockets"},
	"acme/dns01/need":                {"renew/durable", "renew/launch", "renew/problem"},
	"acme/dns01/redact":              {},
	"acme/http01":                    {"acme", "acme/responder", "acme/responder/front", "renew/netaddr", "renew/sockets", "renew/textfmt"},
	"acme/orderlog":                  {"renew/durable"},
	"acme/refusal":                   {"acme/answer", "acme/transport", "renew/problem", "renew/textfmt"},
	"acme/responder":                 {"acme", "renew/durable", "renew/problem", "renew/sockets"},
	"acme/responder/front":           {},
	"acme/selftest":                  {"acme", "renew/problem"},
	"acme/tlsalpn01":                 {"acme", "acme/responder", "acme/responder/front", "renew/netaddr", "renew/sockets", "renew/textfmt"},
	"acme/transport":                 {"acme/answer", "acme/orderlog", "renew/netaddr", "renew/sockets", "renew/textfmt"},
	"cmd/keypaird":                   {"acme/responder", "cmd/keypaird-names/message", "cmd/keypaird/accounts", "cmd/keypaird/cli", "cmd/keypaird/config", "cmd/keypaird/daemon", "cmd/keypaird/engine", "cmd/keypaird/fleet", "cmd/keypaird/imports", "cmd/keypaird/initial", "cmd/keypaird/listener", "cmd/keypaird/names", "cmd/keypaird/node", "cmd/keypaird/output", "cmd/keypaird/preflight", "cmd/keypaird/runner", "cmd/keypaird/version", "hooks/preset", "renew", "renew/launch", "renew/rights", "renew/status", "renew/textfmt"},
	"cmd/keypaird-dns":               {"cmd/keypaird-dns/child"},
	"cmd/keypaird-dns/child":         {"acme/dns01/dnsquery", "acme/dns01/need", "acme/dns01/redact", "cmd/keypaird-dns/child/rfc2136", "renew/launch", "renew/problem", "renew/textfmt"},
	"cmd/keypaird-dns/child/rfc2136": {"acme/dns01/dnsquery", "renew/problem"},
	"cmd/keypaird-dns/gen":           {},
	"cmd/keypaird-fleet":             {"cmd/keypaird-fleet/child"},
	"cmd/keypaird-fleet/child":       {"renew/fleet/engine", "renew/fleet/wire", "renew/launch", "renew/textfmt"},
	"cmd/keypaird-names":             {"cmd/keypaird-names/child"},
	"cmd/keypaird-names/child":       {"cmd/keypaird-names/message", "cmd/keypaird/output", "hooks/discover", "hooks/discover/plan", "hooks/discover/report", "hooks/verify", "renew/launch", "renew/problem", "renew/textfmt"},
	"cmd/keypaird-names/message":     {"hooks/verify/input", "renew/textfmt"},
	"cmd/keypaird/accounts":          {"acme", "acme/accountkey", "acme/dns01", "cmd/keypaird/config/hostname", "cmd/keypaird/engine", "renew", "renew/keypair", "renew/notify", "renew/problem", "renew/textfmt"},
	"cmd/keypaird/cli":               {"cmd/keypaird/config", "cmd/keypaird/output", "cmd/keypaird/progress", "renew", "renew/textfmt"},
	"cmd/keypaird/config":            {"acme", "acme/authority", "acme/dns01", "acme/dns01/need", "acme/dns01/redact", "cmd/keypaird/config/file", "cmd/keypaird/config/filerule", "cmd/keypaird/config/fleetrule", "cmd/keypaird/config/hostname", "cmd/keypaird/config/tomltext", "cmd/keypaird/schedule", "hooks", "hooks/expect", "hooks/preset", "hooks/probe", "renew/durable", "renew/fleet/wave", "renew/keypair", "renew/keypair/pkcs12", "renew/problem", "renew/textfmt"},
	"cmd/keypaird/config/file":       {"cmd/keypaird/config/tomltext", "renew/durable", "renew/problem"},
	"cmd/keypaird/config/filerule":   {"renew/problem"},
	"cmd/keypaird/config/fleetrule":  {"renew/fleet/document", "renew/fleet/envelope", "renew/problem"},
	"cmd/keypaird/config/hostname":   {"renew/problem"},
	"cmd/keypaird/config/tomltext":   {},
	"cmd/keypaird/daemon":            {"acme", "acme/responder", "cmd/keypaird/accounts", "cmd/keypaird/config", "cmd/keypaird/config/tomltext", "cmd/keypaird/engine", "cmd/keypaird/listener", "cmd/keypaird/node", "cmd/keypaird/output", "cmd/keypaird/schedule", "cmd/keypaird/version", "renew", "renew/confine", "renew/durable", "renew/loop", "renew/notify", "renew/problem", "renew/process", "renew/reprobe", "renew/rights", "renew/status", "renew/unixsocket"},
	"cmd/keypaird/engine":            {"acme", "acme/accountfile", "acme/ari", "acme/authority", "acme/dns01", "acme/dns01/need", "acme/http01", "acme/orderlog", "acme/responder", "acme/selftest", "acme/tlsalpn01", "cmd/keypaird/config", "cmd/keypaird/config/hostname", "cmd/keypaird/listener", "cmd/keypaird/schedule", "cmd/keypaird/version", "hooks", "hooks/command", "hooks/preset", "hooks/standin", "renew", "renew/confine", "renew/durable", "renew/exposed", "renew/keypair", "renew/notify", "renew/problem", "renew/renewalinfo", "renew/reprobe", "renew/rights", "renew/rollover", "renew/sockets", "renew/status", "renew/status/nodes", "renew/textfmt", "renew/unconfigured"},
	"cmd/keypaird/fleet":             {"cmd/keypaird/accounts", "cmd/keypaird/cli", "cmd/keypaird/config", "cmd/keypaird/config/file", "cmd/keypaird/config/tomltext", "cmd/keypaird/engine", "cmd/keypaird/preflight", "renew", "renew/durable", "renew/fleet", "renew/fleet/document", "renew/fleet/engine", "renew/fleet/envelope", "renew/fleet/remote", "renew/fleet/wave", "renew/fleet/wire", "renew/launch", "renew/launch/find", "renew/problem", "renew/status", "renew/status/nodes", "renew/textfmt"},
	"cmd/keypaird/imports":           {"acme", "acme/authority", "acme/dns01/redact", "cmd/keypaird/config", "cmd/keypaird/config/hostname", "cmd/keypaird/config/tomltext", "cmd/keypaird/engine", "cmd/keypaird/imports/trees", "cmd/keypaird/preflight", "hooks/command", "hooks/preset", "hooks/probe", "renew", "renew/durable", "renew/keypair", "renew/launch", "renew/lifetime", "renew/problem", "renew/rights", "renew/textfmt"},
	"cmd/keypaird/imports/syntax":    {"renew/problem"},
	"cmd/keypaird/imports/trees":     {"cmd/keypaird/imports/syntax", "renew/durable", "renew/keypair", "renew/problem"},
	"cmd/keypaird/initial":           {"acme/dns01", "acme/dns01/need", "acme/dns01/redact", "cmd/keypaird-names/message", "cmd/keypaird/config", "cmd/keypaird/config/file", "cmd/keypaird/config/hostname", "cmd/keypaird/config/tomltext", "cmd/keypaird/engine", "cmd/keypaird/names", "cmd/keypaird/output", "cmd/keypaird/preflight", "hooks", "hooks/command", "hooks/preset", "hooks/probe", "renew/durable", "renew/problem", "renew/sockets", "renew/textfmt"},
	"cmd/keypaird/listener":          {"acme/http01", "acme/responder/front", "acme/tlsalpn01", "renew/launch", "renew/problem", "renew/process", "renew/status", "renew/textfmt"},
	"cmd/keypaird/names":             {"cmd/keypaird-names/message", "cmd/keypaird/cli", "cmd/keypaird/config", "cmd/keypaird/config/file", "cmd/keypaird/config/hostname", "cmd/keypaird/engine", "hooks/verify/input", "renew", "renew/launch", "renew/launch/find", "renew/problem", "renew/process", "renew/textfmt"},
	"cmd/keypaird/node":              {"acme", "acme/accountfile", "acme/authority", "acme/dns01", "acme/http01", "acme/orderlog", "cmd/keypaird/config", "cmd/keypaird/engine", "cmd/keypaird/fleet", "cmd/keypaird/version", "renew", "renew/fleet", "renew/fleet/document", "renew/fleet/engine", "renew/fleet/envelope", "renew/fleet/remote", "renew/fleet/wave", "renew/fleet/wire", "renew/keypair", "renew/lifetime", "renew/problem", "renew/record", "renew/rollover", "renew/status", "renew/status/nodes"},
	"cmd/keypaird/output":            {"renew/keypair", "renew/textfmt"},
	"cmd/keypaird/preflight":         {"acme", "acme/dns01", "acme/dns01/need", "acme/selftest", "cmd/keypaird-names/message", "cmd/keypaird/config", "cmd/keypaird/config/file", "cmd/keypaird/config/hostname", "cmd/keypaird/engine", "cmd/keypaird/names", "hooks", "hooks/command", "hooks/preset", "hooks/probe", "hooks/verify/input", "renew", "renew/confine", "renew/durable", "renew/keypair", "renew/launch", "renew/problem", "renew/process", "renew/rollover", "renew/status", "renew/textfmt", "renew/tlsa"},
	"cmd/keypaird/progress":          {"cmd/keypaird/output", "renew/textfmt"},
	"cmd/keypaird/runner":            {"acme/dns01", "cmd/keypaird/config", "cmd/keypaird/config/tomltext", "cmd/keypaird/engine", "cmd/keypaird/listener", "cmd/keypaird/names", "cmd/keypaird/preflight", "hooks/command", "hooks/preset", "renew/fleet/remote", "renew/launch", "renew/launch/find", "renew/problem", "renew/process", "renew/rights"},
	"cmd/keypaird/schedule":          {"renew/problem", "renew/textfmt"},
	"cmd/keypaird/version":           {},
	"examples/quickstart":            {"acme/acmetest"},
	"examples/rc.d":                  {},
	"examples/systemd":               {},
	"hooks":                          {"hooks/acl", "hooks/command", "hooks/expect", "hooks/output", "renew", "renew/durable", "renew/exposed", "renew/keypair", "renew/keypair/pkcs12", "renew/problem", "renew/seen", "renew/sockets", "renew/textfmt", "renew/unixsocket"},
	"hooks/acl":                      {},
	"hooks/command":                  {"renew/durable", "renew/problem", "renew/process", "renew/textfmt"},
	"hooks/discover":                 {"hooks/discover/records", "hooks/discover/web", "hooks/probe", "renew/netaddr", "renew/problem", "renew/textfmt", "renew/tlsa"},
	"hooks/discover/plan":            {"hooks/discover", "hooks/discover/records", "hooks/discover/report", "hooks/discover/web", "renew/problem", "renew/textfmt"},
	"hooks/discover/records":         {"acme/dns01/dnsquery", "renew/problem"},
	"hooks/discover/report":          {"hooks/discover", "hooks/discover/records", "renew/problem", "renew/textfmt"},
	"hooks/discover/web":             {"hooks/discover/records", "hooks/probe", "renew/netaddr", "renew/textfmt"},
	"hooks/expect":                   {"hooks/probe", "renew/keypair", "renew/sockets"},
	"hooks/output":                   {"hooks/standin", "renew/keypair", "renew/keypair/pkcs12"},
	"hooks/preset":                   {"hooks", "hooks/command", "renew/problem", "renew/textfmt"},
	"hooks/probe":                    {"renew/sockets", "renew/textfmt", "renew/tlsa"},
	"hooks/servers":                  {},
	"hooks/standin":                  {"renew/keypair"},
	"hooks/verify":                   {"hooks/discover", "hooks/probe", "hooks/verify/input", "renew/keypair", "renew/netaddr", "renew/problem", "renew/seen", "renew/textfmt", "renew/tlsa"},
	"hooks/verify/input":             {"hooks/probe"},
	"hooks/verify/testca":            {},
	"renew":                          {"renew/backoff", "renew/deployer", "renew/durable", "renew/issuer", "renew/keypair", "renew/lifetime", "renew/problem", "renew/record", "renew/renewalinfo", "renew/rollover", "renew/seen", "renew/tlsa"},
	"renew/backoff":                  {"renew/durable", "renew/problem"},
	"renew/confine":                  {"renew/launch", "renew/launch/syscalls"},
	"renew/deployer":                 {"renew/keypair", "renew/seen"},
	"renew/durable":                  {"renew/problem"},
	"renew/exposed":                  {"renew/durable"},
	"renew/fleet":                    {"renew/fleet/document", "renew/fleet/engine", "renew/fleet/envelope", "renew/fleet/seat", "renew/fleet/view", "renew/fleet/wave", "renew/keypair", "renew/problem"},
	"renew/fleet/document":           {"renew/fleet/engine"},
	"renew/fleet/engine":             {},
	"renew/fleet/engine/enginetest":  {"renew/fleet/engine"},
	"renew/fleet/engine/etcdtest":    {"renew/fleet/wire", "renew/testutil"},
	"renew/fleet/engine/memory":      {"renew/fleet/engine"},
	"renew/fleet/envelope":           {"renew/durable", "renew/problem"},
	"renew/fleet/remote":             {"renew/fleet/engine", "renew/fleet/wire", "renew/launch", "renew/launch/find", "renew/problem", "renew/process", "renew/textfmt"},
	"renew/fleet/seat":               {"renew/fleet/document", "renew/fleet/engine", "renew/problem"},
	"renew/fleet/view":               {"renew/fleet/document", "renew/fleet/engine", "renew/fleet/envelope", "renew/problem"},
	"renew/fleet/wave":               {"renew/fleet/document", "renew/problem"},
	"renew/fleet/wire":               {"renew/fleet/engine"},
	"renew/issuer":                   {"renew/keypair", "renew/renewalinfo"},
	"renew/keypair":                  {"renew/durable", "renew/exposed", "renew/problem"},
	"renew/keypair/pairtest":         {"renew/keypair"},
	"renew/keypair/pkcs12":           {"renew/durable", "renew/keypair", "renew/problem"},
	"renew/launch":                   {"renew/launch/syscalls", "renew/process"},
	"renew/launch/find":              {"renew/durable", "renew/problem"},
	"renew/launch/launchtest":        {"renew/testutil"},
	"renew/launch/syscalls":          {},
	"renew/lifetime":                 {},
	"renew/loop":                     {},
	"renew/netaddr":                  {},
	"renew/notify":                   {"renew", "renew/backoff", "renew/keypair", "renew/problem"},
	"renew/problem":                  {},
	"renew/process":                  {"renew/problem", "renew/rights"},
	"renew/record":                   {"renew/backoff", "renew/durable", "renew/keypair", "renew/renewalinfo", "renew/rollover", "renew/seen"},
	"renew/renewalinfo":              {"renew/backoff", "renew/problem"},
	"renew/renewtest":                {"renew", "renew/keypair", "renew/renewalinfo"},
	"renew/reprobe":                  {"renew", "renew/backoff", "renew/keypair"},
	"renew/rights":                   {},
	"renew/rollover":                 {"renew/keypair", "renew/problem", "renew/tlsa"},
	"renew/seen":                     {},
	"renew/sockets":                  {"renew/rights"},
	"renew/status":                   {"renew", "renew/backoff", "renew/durable", "renew/keypair", "renew/notify", "renew/rollover", "renew/seen", "renew/status/nodes", "renew/textfmt", "renew/tlsa", "renew/unconfigured"},
	"renew/status/nodes":             {"renew/textfmt"},
	"renew/testutil":                 {},
	"renew/textfmt":                  {},
	"renew/tlsa":                     {},
	"renew/unconfigured":             {"renew", "renew/durable", "renew/keypair", "renew/keypair/pkcs12", "renew/problem"},
	"renew/unixsocket":               {"renew/durable", "renew/sockets"},
	"renew/years":                    {},
}

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
