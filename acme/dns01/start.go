package dns01

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"keypaird/acme/dns01/redact"
)

// start runs the child and opens the account in it. Called with mu held.
func (a *Account) start() (*child, error) {
	path := a.Child
	if path == "" {
		found, err := FindChild()
		if err != nil {
			return nil, a.failed("starting", "", err)
		}
		path = found
	}
	path, err := filepath.Abs(path) // the child's directory is another
	if err != nil {
		return nil, a.failed("starting", "", err)
	}
	cmd := exec.Command(path, "-for", a.Provider) // so that it can confine itself before it hears from us
	cmd.Dir = "/"
	cmd.Env = a.environ()
	if cmd.SysProcAttr, err = runAs(a.User); err != nil {
		return nil, a.failed("starting", "", err)
	}
	words := &lastWords{log: a.log(), redactor: redact.Of(a.variables())}
	k, err := begin(cmd, words, cmp.Or(a.bound, endLimit), a.exited)
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
			a.log().Debug("opened", "confinement", words.clean(c.answer.Confinement))
		}
	})
	return k, nil
}

// exited is called as the last thing a child's reader does.
func (a *Account) exited(k *child) {
	if k.err != nil {
		a.log().Warn("keypaird-dns did not end well", "error", k.err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.alive, k)
}

// environ is all the child gets to see of ours.
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
	return append(env, a.variables()...) // of equal names the last one counts
}

// variables are the account's own.
func (a *Account) variables() []string {
	var list []string
	for name, value := range a.Env {
		list = append(list, name+"="+value)
	}
	return list
}

// runAs is how to start a program as another user, or, if we are not root or
// none is named, as ourselves.
func runAs(name string) (*syscall.SysProcAttr, error) {
	if name == "" || os.Geteuid() != 0 {
		return &syscall.SysProcAttr{}, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("user %q: %w", name, err)
	}
	// Its own group only: supplementary ones are for the daemons it reloads.
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}
