package dns01

import (
	"cmp"
	"context"
	"maps"
	"os"
	"slices"

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
	program, handed, err := a.Launched(path)
	if err != nil {
		return nil, a.failed("starting", "", err)
	}
	defer handed.Close()
	cmd, err := launch.Command(context.Background(), program) // it ends by itself, with its records removed
	if err != nil {
		return nil, a.failed("starting", "", err)
	}
	tail := newStderrTail(a.log(), redact.Of(a.variables()), handed.Names())
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

// environ returns the child's environment, with more variables that go before all others.
func (a *Account) environ(more ...map[string]string) []string {
	env := map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	for _, name := range []string{
		"PATH", "TZ",
		"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
		"http_proxy", "https_proxy", "all_proxy", "no_proxy",
	} {
		if value, ok := os.LookupEnv(name); ok {
			env[name] = value
		}
	}
	for _, m := range append([]map[string]string{a.Env}, more...) {
		maps.Copy(env, m)
	}
	return pairs(env)
}

// variables returns the account's variables as NAME=VALUE.
func (a *Account) variables() []string { return pairs(a.Env) }

// pairs returns variables as NAME=VALUE.
func pairs(env map[string]string) (list []string) {
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

// Launched returns what the child, keypaird-dns at path, may do, and the files that it gets.
func (a *Account) Launched(path string) (launch.Child, *need.Handed, error) {
	c := launch.Child{Path: path, Args: []string{"-for", a.Provider}, Client: true}
	u, err := need.User(a.User)
	if err != nil {
		return c, nil, err
	}
	n := need.For(a.Provider, a.Env, a.User, u)
	handed, err := n.Hand(u)
	if err != nil {
		return c, nil, err
	}
	for _, path := range n.Unusable(u) {
		a.log().Warn("DNS helper's user may not use a file of its provider", "path", path, "user", u.Username)
	}
	c.User, c.Files, c.Free = u.Username, handed.Files, n.Free()
	var env map[string]string
	if c.Free == "" {
		if means := launch.Means(); means != "" {
			c.Args = append(c.Args, "-confined", means)
		}
		c.Keep, c.New, env = n.Files()
		c.Keep = handed.Keep(c.Keep)
	}
	c.Env = a.environ(env, handed.Env)
	return c, handed, nil
}

const childName = "keypaird-dns"

// FindChild returns the path of keypaird-dns.
func FindChild() (string, error) { return find.Program(childName) }
