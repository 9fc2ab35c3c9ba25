package runner

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keypaird/acme/dns01"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/listener"
	"keypaird/renew/fleet/remote"
	"keypaird/renew/launch"
	"keypaird/renew/problem"
	"keypaird/renew/process"
	"keypaird/renew/testutil"
)

const text = `
state = "/var/lib/keypaird"
[cert."example.org"]
dns-01 = ["example.org"]
dns = "own"
deploy = ["nginx", "proxy"]
[dns.own]
provider = "exec"
env = { EXEC_PATH = "/usr/local/bin/hook" }
[dns.kept]
provider = "acme-dns"
env = { ACME_DNS_API_BASE = "https://auth.example.org", ACME_DNS_STORAGE_PATH = "KEPT" }
[deploy.proxy]
chain = "/srv/{name}.pem"
check = ["true", "-t"]
reload = ["/bin/sh", "-c", "exit 0"]
[notify]
command = ["true", "notify"]
`

// configured returns what a configuration allows, and its file.
func configured(t *testing.T) (*allowed, string) {
	t.Helper()
	dir := testutil.SafeDir(t)
	file, kept := filepath.Join(dir, "keypaird.toml"), filepath.Join(dir, "storage")
	testutil.WriteFile(t, kept, "{}", 0o600)
	text := strings.Replace(text, "KEPT", kept, 1)
	testutil.WriteFile(t, file, text, 0o600)
	return &allowed{load: func() (*config.Config, error) {
		return config.Load(config.Options{Path: file, Getenv: func(string) string { return "" }, NoSecrets: true})
	}}, file
}

// Commands run if the configuration has them with all their arguments, or if a preset
// asks its server by them.
func TestCommands(t *testing.T) {
	a, file := configured(t)
	for _, tt := range []struct {
		argv string
		may  bool
	}{
		{"true -t", true},
		{"/bin/sh -c exit 0", false}, // other arguments, of the same text
		{"/bin/sh|-c|exit 0", true},
		{"/bin/sh|-c|exit 1", false},
		{"/bin/sh", false},
		{"true", false},
		{"true notify", true},
		{"true notify more", false},
		{"nginx -T", true},
		{"nginx -t", true},
		{"nginx -s stop", false},
		{"systemctl show -p LoadState,User,Group,SupplementaryGroups,ProtectSystem,ProtectHome,ReadWritePaths,StateDirectory,RuntimeDirectory keypaird.service", true},
		{"systemctl start x", false},
		{"", false},
	} {
		argv := strings.Fields(tt.argv)
		if strings.Contains(tt.argv, "|") {
			argv = strings.Split(tt.argv, "|")
		}
		_, err := a.make(process.Request{Argv: argv})
		refused := err != nil && strings.Contains(err.Error(), "is not run: the configuration does not have it")
		if refused == tt.may {
			t.Errorf("%q: %v", tt.argv, err)
		}
	}

	// What is new in the configuration may run, and what a pass began with still may.
	testutil.WriteFile(t, file, strings.ReplaceAll(text, `"true", "-t"`, `"true", "-new"`), 0o600)
	for _, argv := range [][]string{{"true", "-new"}, {"true", "-t"}} {
		if _, err := a.make(process.Request{Argv: argv}); err != nil {
			t.Errorf("%q after a change: %v", argv, err)
		}
	}
	testutil.WriteFile(t, file, "wrong", 0o600)
	a.refresh()
	if _, err := a.make(process.Request{Argv: []string{"true", "-t"}}); err != nil {
		t.Errorf("what was configured before a mistake: %v", err)
	}
	if _, err := a.make(process.Request{Argv: []string{"true", "-other"}}); err == nil || problem.Remedy(err) == "" {
		t.Errorf("a wrong configuration: %v", err)
	}
}

// The environment of a command is that of an event, whatever is asked for.
func TestEnvironment(t *testing.T) {
	a, _ := configured(t)
	cmd, err := a.make(process.Request{Argv: []string{"true", "-t"}, Env: []string{
		"LD_PRELOAD=/tmp/x.so", "KEYPAIRD_EVENT=deploy", "PATH=/tmp", "KEYPAIRD_CONFIG=/tmp/x.toml", "KEYPAIRD_LAUNCH=/tmp", "KEYPAIRD_RUNNER=/tmp"}})
	testutil.Must(t, err)
	for _, variable := range cmd.Env {
		if strings.Contains(variable, "/tmp") {
			t.Errorf("environment: %q", cmd.Env)
		}
	}
	if !slices.Contains(cmd.Env, "KEYPAIRD_EVENT=deploy") || cmd.Dir != "/" {
		t.Errorf("environment %q in %q", cmd.Env, cmd.Dir)
	}
}

// A child is one that keypaird has, with no more than the configuration gives it.
func TestChildren(t *testing.T) {
	helper, err := dns01.FindChild()
	if err != nil { // beside this program
		self, err := os.Executable()
		testutil.Must(t, err)
		helper = filepath.Join(filepath.Dir(self), "keypaird-dns")
		testutil.WriteFile(t, helper, "#!/bin/sh\n", 0o755)
		if helper, err = dns01.FindChild(); err != nil {
			t.Skip(err) // in a directory of others
		}
	}
	store := filepath.Join(filepath.Dir(helper), remote.Program)
	if _, err := os.Stat(store); err != nil {
		testutil.WriteFile(t, store, "#!/bin/sh\n", 0o755)
	}
	a, path := configured(t)
	cfg, err := a.load()
	testutil.Must(t, err)
	launched := func(name string) launch.Child {
		c, handed, err := engine.NewAccount(cfg, name).Launched(helper)
		testutil.Must(t, err)
		t.Cleanup(handed.Close)
		return c
	}
	own, kept := launched("own"), launched("kept")
	if own.Free == "" || len(kept.Write) != 1 {
		t.Fatalf("accounts: %+v, %+v", own, kept)
	}
	net, err := launch.NetUser()
	testutil.Must(t, err)
	root := os.Geteuid() == 0
	change := func(c launch.Child, do func(*launch.Child)) launch.Child {
		c.Env, c.Args, c.Write = slices.Clone(c.Env), slices.Clone(c.Args), slices.Clone(c.Write)
		do(&c)
		return c
	}
	hears := func(do func(*launch.Child)) launch.Child {
		return change(launch.Child{Name: "keypaird", Args: []string{listener.Command}, User: net, Server: true}, do)
	}
	fleet := func(do func(*launch.Child)) launch.Child {
		c, err := remote.Launched(store)
		testutil.Must(t, err)
		return change(c, do)
	}
	for _, tt := range []struct {
		name  string
		child launch.Child
		may   bool
	}{
		{"an account's", own, true},
		{"another account's", kept, true},
		{"a question", launch.Child{Path: helper, Args: []string{"-list"}, User: net}, true},
		{"a question as root", launch.Child{Path: helper, Args: []string{"-list"}}, !root},
		{"the listener", hears(func(*launch.Child) {}), true},
		{"the listener as root", hears(func(c *launch.Child) { c.User = "" }), !root},
		{"the listener as another", hears(func(c *launch.Child) { c.User = "daemon" }), false},
		{"the listener as a client", hears(func(c *launch.Child) { c.Client = true }), false},
		{"another command of this program", hears(func(c *launch.Child) { c.Args = []string{"issue"} }), false},
		{"the listener, unconfined", hears(func(c *launch.Child) { c.Free = "why" }), false},
		{"the listener, reading", hears(func(c *launch.Child) { c.Read = []string{"/etc/passwd"} }), false},
		{"the listener, writing", hears(func(c *launch.Child) { c.Write = []string{"/etc/passwd"} }), false},
		{"the listener, making files", hears(func(c *launch.Child) { c.New = map[string]string{"/etc/x": ""} }), false},
		{"the fleet's", fleet(func(*launch.Child) {}), true},
		{"the fleet's with a variable", fleet(func(c *launch.Child) { c.Env = append(c.Env, "LD_PRELOAD=x") }), false},
		{"the fleet's as root", fleet(func(c *launch.Child) { c.User = "" }), !root},
		{"the fleet's as a server", fleet(func(c *launch.Child) { c.Server = true }), false},
		{"the fleet's, reading", fleet(func(c *launch.Child) { c.Read = []string{"/etc/passwd"} }), false},
		{"the fleet's, unconfined", fleet(func(c *launch.Child) { c.Free = "why" }), false},
		{"another program", launch.Child{Path: "/bin/sh", User: net}, false},
		{"a question with variables", launch.Child{Path: helper, Env: []string{"LD_PRELOAD=x"}, User: net}, false},
		{"another provider", change(own, func(c *launch.Child) { c.Args[1] = "route53" }), false},
		{"another variable", change(own, func(c *launch.Child) { c.Env = append(c.Env, "LD_PRELOAD=x") }), false},
		{"another value", change(own, func(c *launch.Child) { c.Env[len(c.Env)-1] = "EXEC_PATH=/tmp/x" }), false},
		{"another file", change(kept, func(c *launch.Child) { c.Write[0] = "/etc/passwd" }), false},
		{"unconfined", change(kept, func(c *launch.Child) { c.Free = "why" }), false},
		{"another user", change(kept, func(c *launch.Child) { c.User = "root" }), false},
	} {
		request, err := json.Marshal(tt.child)
		testutil.Must(t, err)
		_, err = a.make(process.Request{Child: request})
		if (err == nil) != tt.may {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	// A pass that began before a change of the account goes on.
	file, err := os.ReadFile(path)
	testutil.Must(t, err)
	testutil.WriteFile(t, path, strings.Replace(string(file), "/usr/local/bin/hook", "/usr/local/bin/other", 1), 0o600)
	a.refresh()
	a.refresh()
	if len(a.accounts) != 3 {
		t.Errorf("%d accounts, want two and one that has changed", len(a.accounts))
	}
	cmd, err := launch.Command(context.Background(), own)
	testutil.Must(t, err)
	if _, err := a.make(cmd.Request); err != nil {
		t.Errorf("as it is asked for: %v", err)
	}
}
