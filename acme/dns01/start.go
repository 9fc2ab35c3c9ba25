package dns01

import (
	"cmp"
	"context"
	"os"
	"os/user"

	"keypaird/acme/dns01/need"
	"keypaird/acme/dns01/redact"
	"keypaird/renew/launch"
	"keypaird/renew/launch/find"
)

// start runs the child and opens the account in it. mu must be held.
func (a *Account) start() (*child, error) {
	path := a.Child
	if path == "" {
		found, err := FindChild()
		if err != nil {
			return nil, a.failed("starting", "", err)
		}
		path = found
	}
	cmd, err := launch.Command(context.Background(), a.launched(path)) // it ends by itself, with its records removed
	if err != nil {
		return nil, a.failed("starting", "", err)
	}
	tail := &stderrTail{log: a.log(), redactor: redact.Of(a.variables())}
	k, err := startProcess(cmd, tail, cmp.Or(a.bound, endLimit), a.exited)
	if err != nil {
		return nil, a.failed("starting", "", err)
	}
	if a.alive == nil {
		a.alive = map[*child]struct{}{}
	}
	a.alive[k] = struct{}{}
	resolvers := a.Resolvers
	if len(resolvers) == 0 {
		resolvers = a.System
	}
	k.opened = k.post(request{Op: "open", Provider: a.Provider, Resolvers: resolvers}, openLimit, func(c *call) {
		if c.err == nil {
			a.log().Debug("opened", "confinement", tail.clean(c.answer.Confinement))
		}
	})
	return k, nil
}

// exited is called by a child's reader at its end.
func (a *Account) exited(k *child) {
	if k.err != nil {
		a.log().Warn("DNS helper exited with error", "err", k.err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.alive, k)
}

// environ returns the child's environment.
func (a *Account) environ() []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	for _, name := range []string{
		"PATH", "TZ",
		"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
		"http_proxy", "https_proxy", "all_proxy", "no_proxy",
	} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return append(env, a.variables()...) // the last of equal names is used
}

// variables returns the account's variables as NAME=VALUE.
func (a *Account) variables() []string {
	var list []string
	for name, value := range a.Env {
		list = append(list, name+"="+value)
	}
	return list
}

// launched returns what the child may do.
func (a *Account) launched(path string) launch.Child {
	c := launch.Child{Path: path, Args: []string{"-for", a.Provider}, Env: a.environ(), User: a.User, Client: true}
	n := need.Account{Code: need.Canonical(a.Provider), Env: a.Env}
	if u, err := childUser(a.User); err == nil {
		n.Home, n.UID = u.HomeDir, u.Uid
	}
	if c.Free = n.Free(); c.Free != "" {
		return c
	}
	if means := launch.Means(); means != "" {
		c.Args = append(c.Args, "-confined", means)
	}
	var env map[string]string
	c.Keep, c.New, env = n.Files()
	for name, value := range env {
		c.Env = append(c.Env, name+"="+value)
	}
	return c
}

// childUser returns the user a child runs as.
func childUser(name string) (*user.User, error) {
	if name == "" || os.Geteuid() != 0 {
		return user.Current()
	}
	return user.Lookup(name)
}

const childName = "keypaird-dns"

// FindChild returns the path of keypaird-dns.
func FindChild() (string, error) { return find.Program(childName) }
