package runner

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"keypaird/acme/dns01"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/config/tomltext"
	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/listener"
	"keypaird/cmd/keypaird/names"
	"keypaird/cmd/keypaird/preflight"
	"keypaird/hooks/command"
	"keypaird/hooks/preset"
	"keypaird/renew/fleet/remote"
	"keypaird/renew/launch"
	"keypaird/renew/launch/find"
	"keypaird/renew/problem"
	"keypaird/renew/process"
)

// allowed knows which programs may run: those in the configuration, and those that have
// been in it since the runner began. A pass works with the configuration that it began
// with.
type allowed struct {
	load func() (*config.Config, error)

	mu       sync.Mutex
	commands map[string]bool // by key
	accounts []*dns01.Account
}

// make makes the command of a request if it may run.
func (a *allowed) make(r process.Request) (*exec.Cmd, error) {
	if r.Child != nil {
		return a.child(r)
	}
	if err := a.check(strings.Join(r.Argv, " "), func() bool { return a.commands[key(r.Argv)] }); err != nil {
		return nil, err
	}
	return command.Prepare(r.Argv, r.Env)
}

// refresh adds what the configuration has now, unless it is wrong: who reads it later may
// find another one, or a mistake.
func (a *allowed) refresh() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if cfg, err := a.load(); err == nil {
		a.add(cfg)
	}
}

// check returns an error unless may reports that something may run. It reads the
// configuration anew first if it does not.
func (a *allowed) check(what string, may func() bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if may() {
		return nil
	}
	cfg, err := a.load()
	if err != nil {
		return problem.Wrap(err, cmp.Or(problem.Remedy(err), "correct the configuration: keypaird check"))
	}
	a.add(cfg)
	if may() {
		return nil
	}
	return problem.Newf("if the configuration has changed, reload keypaird", "%s is not run: the configuration does not have it", tomltext.Printable(what, 200))
}

// add allows what a configuration has.
func (a *allowed) add(cfg *config.Config) {
	if a.commands == nil {
		a.commands = map[string]bool{key(preflight.UnitQuestion): true}
	}
	for _, argv := range commands(cfg) {
		a.commands[key(argv)] = len(argv) > 0
	}
	for name := range cfg.DNS {
		own := engine.NewAccount(cfg, name)
		if !slices.ContainsFunc(a.accounts, func(known *dns01.Account) bool {
			return known.Provider == own.Provider && known.User == own.User && maps.Equal(known.Env, own.Env)
		}) {
			a.accounts = append(a.accounts, own)
		}
	}
}

// commands lists the command lines of a configuration.
func commands(cfg *config.Config) [][]string {
	list := [][]string{cfg.Notify.Command}
	names := map[string]bool{}
	for name := range cfg.Deploy {
		names[name] = cfg.DeploysHere(name)
	}
	for _, t := range cfg.Targets() {
		for _, name := range t.Deploy {
			names[name] = true
		}
	}
	for name, here := range names {
		if !here {
			continue
		}
		d := cfg.Deployment(name)
		list = append(list, d.Check, d.Reload, d.Restart, preflight.ReloadQuestion(&d))
		list = append(list, preset.Questions(cmp.Or(cfg.Deploy[name].Preset, name), &d)...)
	}
	return list
}

// key is argv as the key of a map. No argument holds a null character.
func key(argv []string) string { return strings.Join(argv, "\x00") }

// child makes the command of a child.
func (a *allowed) child(r process.Request) (*exec.Cmd, error) {
	var c launch.Child
	if err := json.Unmarshal(r.Child, &c); err != nil {
		return nil, err
	}
	if err := a.check(cmp.Or(c.Path, "the child"), func() bool { return a.mayBe(c) }); err != nil {
		return nil, err
	}
	return launch.Stage(c, r.Kept, r.Kept)
}

// mayBe reports whether a child is one of keypaird's, with no more than it needs.
func (a *allowed) mayBe(c launch.Child) bool {
	helper := ""
	if c.Path != "" {
		helper, _ = dns01.FindChild()
	}
	if c.Path != "" && c.Path == helper && slices.ContainsFunc(a.accounts, func(account *dns01.Account) bool { return isOf(account, c) }) {
		return true
	}
	// The others have no files, and are confined.
	user, err := launch.NetUser()
	if err != nil || c.User != user || len(c.Read)+len(c.Write)+len(c.New) > 0 || c.Free != "" {
		return false
	}
	if c.Path == "" {
		return !c.Client && slices.Equal(c.Args, []string{listener.Command})
	}
	asker, _ := find.Program(names.Program)
	fleet, _ := find.Program(remote.Program)
	switch c.Path {
	case asker:
		return !c.Server
	case fleet:
		own, err := remote.Launched(fleet)
		return err == nil && same(own, c)
	case helper: // it says what providers need
		return !c.Client && !c.Server && len(c.Env) == 0
	}
	return false
}

// isOf reports whether a child is that of an account.
func isOf(account *dns01.Account, c launch.Child) bool {
	own, handed, err := account.Launched(c.Path)
	if err != nil {
		return false
	}
	handed.Close()
	return same(own, c)
}

// same reports whether two children are alike in everything.
func same(a, b launch.Child) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}

// environ returns the environment of another process of this program.
func environ(more ...string) []string {
	ours := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains([]string{variableName, "NOTIFY_SOCKET", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}, name)
	})
	return append(ours, more...)
}
