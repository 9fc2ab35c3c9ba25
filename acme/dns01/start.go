package dns01

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"syscall"

	"keypaird/acme/dns01/need"
	"keypaird/acme/dns01/redact"
	"keypaird/renew/durable"
	"keypaird/renew/launch"
	"keypaird/renew/problem"
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
	cmd, err := launch.Command(context.Background(), a.Launched(path)) // it ends by itself, with its records removed
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
	slices.Sort(list)
	return list
}

// Launched returns what the child, keypaird-dns at path, may do.
func (a *Account) Launched(path string) launch.Child {
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

var errNoChild = problem.New("cannot find "+childName,
	"install "+childName+" beside keypaird or in /usr/local/libexec/keypaird; PATH counts only when keypaird does not run as root")

// FindChild looks for keypaird-dns beside the running program, in the libexec
// directories of a package, and, unless this process is root, in PATH. It refuses
// one that another user can replace.
func FindChild() (string, error) {
	var dirs []string
	if self, err := os.Executable(); err == nil {
		dirs = append(dirs, filepath.Dir(self))
		if real, err := filepath.EvalSymlinks(self); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
		for _, dir := range dirs[:len(dirs):len(dirs)] {
			dirs = append(dirs, filepath.Join(dir, "../libexec"), filepath.Join(dir, "../libexec/keypaird"))
		}
	}
	dirs = append(dirs, "/usr/local/libexec/keypaird", "/usr/libexec/keypaird", "/usr/lib/keypaird")
	return findChild(dirs, os.Geteuid() != 0)
}

func findChild(dirs []string, usePath bool) (string, error) {
	for _, dir := range dirs {
		path := filepath.Join(dir, childName)
		if fi, err := os.Stat(path); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return checked(path)
		}
	}
	if usePath {
		if path, err := exec.LookPath(childName); err == nil {
			if path, err = filepath.Abs(path); err != nil {
				return "", err
			}
			return checked(path)
		}
	}
	return "", errNoChild
}

func checked(path string) (string, error) {
	if err := safeChild(path); err != nil {
		return "", err
	}
	return path, nil
}

// safeChild returns an error if users other than root and our own can replace the
// program, a link to it or a directory on its path.
func safeChild(path string) error {
	if err := durable.CheckDir(filepath.Dir(path)); err != nil {
		return unsafeChild(path, err)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return unsafeChild(path, err)
	}
	if err := durable.CheckDir(filepath.Dir(real)); err != nil {
		return unsafeChild(path, err)
	}
	fi, err := os.Lstat(real)
	if err != nil {
		return unsafeChild(path, err)
	}
	if owner := fi.Sys().(*syscall.Stat_t).Uid; owner != 0 && int(owner) != os.Geteuid() {
		return unsafeChild(path, fmt.Errorf("%s belongs to user %d", real, owner))
	}
	if fi.Mode()&0o022 != 0 {
		return unsafeChild(path, fmt.Errorf("%s can be written by others: mode %#o", real, fi.Mode().Perm()))
	}
	return nil
}

// unsafeChild returns the error for a keypaird-dns that another user could
// replace; err is what is wrong with it or with its directory.
func unsafeChild(path string, err error) error {
	remedy := fmt.Sprintf("let %s and all directories above it belong to root, or to the user keypaird runs as, and be writable by no one else: chmod go-w", path)
	return problem.Newf(remedy, "%s is not run because other users can change it: %w", path, err)
}
