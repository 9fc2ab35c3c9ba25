package dns01

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const childName = "keypaird-dns"

// FindChild looks for keypaird-dns beside the running program, in the libexec
// directories of a package, and in PATH.
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
	for _, dir := range dirs {
		path := filepath.Join(dir, childName)
		if fi, err := os.Stat(path); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	if path, err := exec.LookPath(childName); err == nil {
		return filepath.Abs(path)
	}
	return "", &NoChildError{}
}

// A NoChildError reports that keypaird-dns is not installed.
type NoChildError struct{}

func (e *NoChildError) Error() string { return "cannot find " + childName }

// Remedy says where it is looked for.
func (e *NoChildError) Remedy() string {
	return "install " + childName + " beside keypaird, in /usr/local/libexec/keypaird, or in PATH"
}

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
	cmd := exec.Command(path)
	cmd.Dir = "/"
	cmd.Env = a.environ()
	if cmd.SysProcAttr, err = runAs(a.User); err != nil {
		return nil, a.failed("starting", "", err)
	}
	words := &lastWords{log: a.log(), secrets: a.secrets()}
	k, err := begin(cmd, words, a.log(), a.exited)
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
	k.opened = k.post(request{Op: "open", Provider: a.Provider, Resolvers: resolvers}, openLimit, nil)
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
	for name, value := range a.Env {
		env = append(env, name+"="+value)
	}
	return env // of equal names the last one counts
}

// secrets are the values of variables that must not be repeated in messages.
// The name of a TSIG key is no secret.
func (a *Account) secrets() []string {
	var pairs []string
	byLength := slices.SortedFunc(maps.Keys(a.Env), func(x, y string) int { return len(a.Env[y]) - len(a.Env[x]) })
	for _, name := range byLength {
		value := a.Env[name]
		if len(value) < 6 || strings.HasSuffix(name, "_FILE") || strings.HasSuffix(name, "TSIG_KEY") {
			continue
		}
		for _, part := range []string{"SECRET", "TOKEN", "PASS", "KEY", "AUTH", "CREDENTIAL"} {
			if strings.Contains(strings.ToUpper(name), part) {
				pairs = append(pairs, value, "["+name+"]")
				break
			}
		}
	}
	return pairs
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
