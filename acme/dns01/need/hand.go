package need

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"keypaird/renew/durable"
	"keypaird/renew/launch"
	"keypaird/renew/problem"
)

// UsersRemedy is for a keypaird that is root and may not give a child another user.
const UsersRemedy = "let the service keep CAP_SETUID and CAP_SETGID, and SystemCallFilter=@setuid: examples/systemd/root.conf does"

// User returns the user that the child of an account runs as, which the account may name:
// never root, if keypaird is. A keypaird that is not root cannot choose.
func User(named string) (*user.User, error) {
	root := os.Geteuid() == 0
	if !root && named == "" {
		return current(), nil
	}
	name := cmp.Or(named, launch.DNSUser)
	u, err := user.Lookup(name)
	switch {
	case err != nil && named == "":
		return nil, problem.Newf("make it, as root: "+launch.MakeUser(name)+"; or name another user in each [dns] table: user = \"...\"",
			"there is no user %s, which keypaird-dns runs as when keypaird is root", name)
	case err != nil:
		return nil, problem.Newf("make it, as root: "+launch.MakeUser(name)+"; or leave the key out", "there is no user %q", name)
	case u.Uid == "0":
		return nil, problem.Newf("name another user, or leave the key out: it is then "+launch.DNSUser, "keypaird-dns must not run as root")
	case !root:
		return current(), nil
	}
	return u, nil
}

// For returns the account at a provider with a child that runs as u. If the account names
// no user, ~/ is still the home of keypaird's own.
func For(provider string, env map[string]string, named string, u *user.User) Account {
	a := Account{Code: Canonical(provider), Env: env, Home: u.HomeDir, UID: u.Uid}
	if named == "" {
		a.Home = current().HomeDir
	}
	return a
}

// current returns the user of this process. Without a line in passwd, as in a container, it
// has only a number.
func current() *user.User {
	if u, err := user.Current(); err == nil {
		return u
	}
	uid := strconv.Itoa(os.Geteuid())
	return &user.User{Uid: uid, Gid: strconv.Itoa(os.Getegid()), Username: uid, HomeDir: cmp.Or(os.Getenv("HOME"), "/")}
}

// Handed are files that a child of another user gets from keypaird, which is root: it
// could not open them itself.
type Handed struct {
	Files []*os.File        // the descriptors of the child from 3 on
	Env   map[string]string // the variables that name them, as the child must see them
	paths map[string]string // that the child has in place of those of the files
}

// Close closes the files here.
func (h *Handed) Close() {
	for _, f := range h.Files {
		f.Close()
	}
}

// Names returns what turns the child's names of the files into their paths.
func (h *Handed) Names() *strings.Replacer {
	var pairs []string
	for _, real := range slices.SortedFunc(maps.Keys(h.paths), func(a, b string) int {
		return cmp.Or(len(h.paths[b])-len(h.paths[a]), cmp.Compare(a, b)) // 10 before 1
	}) {
		pairs = append(pairs, h.paths[real], real)
	}
	return strings.NewReplacer(pairs...)
}

// Keep turns paths of files that are handed over into those that the child must keep: none
// for one that it only reads.
func (h *Handed) Keep(k launch.Keep) launch.Keep {
	k.Read = slices.DeleteFunc(k.Read, func(path string) bool { return h.paths[path] != "" })
	for i, path := range k.Write {
		k.Write[i] = cmp.Or(h.paths[path], path)
	}
	return k
}

// add takes a file that a child of that number opens in place of path.
func (h *Handed) add(f *os.File, variable, value, path string) {
	h.Files = append(h.Files, f)
	h.paths[path] = launch.Descriptors + strconv.Itoa(2+len(h.Files))
	h.name(variable, value, path)
}

// name has a variable name a file that was handed over. What stands before the path stays.
func (h *Handed) name(variable, value, path string) {
	prefix := ""
	if strings.HasPrefix(value, "FILE:") {
		prefix = "FILE:"
	}
	h.Env[variable] = prefix + h.paths[path]
}

// Hand opens the files that the account needs and its user cannot open: those that its
// variables name, and those below the home of keypaird's user for which the provider has
// a variable. Close the result when the child has started.
func (a Account) Hand(u *user.User) (*Handed, error) {
	h := &Handed{Env: map[string]string{}, paths: map[string]string{}}
	if os.Geteuid() != 0 {
		return h, nil
	}
	who, err := ids(u)
	if err != nil {
		return nil, err
	}
	named := map[string]string{}
	maps.Copy(named, a.Env)
	for variable, path := range a.need().named {
		if path = launch.Path(path, a.home()); named[variable] == "" && path != "" {
			named[variable] = path
		}
	}
	// Some providers take a home that they cannot search for a mistake, not one that is not there.
	atHome := slices.ContainsFunc(a.need().read, func(path string) bool { return strings.HasPrefix(path, "~/") })
	if atHome && a.Env["HOME"] == "" && !who.may(a.home(), 1) {
		h.Env["HOME"] = u.HomeDir
	}
	store := launch.Path(a.value(a.need().write), "")
	for _, variable := range slices.Sorted(maps.Keys(named)) {
		path := launch.Path(named[variable], a.home())
		if path == "" || path == store {
			continue
		}
		if err := h.read(who, variable, named[variable], path); err != nil {
			h.Close()
			return nil, err
		}
	}
	if store != "" {
		if err := h.write(who, a.need().write, store); err != nil {
			h.Close()
			return nil, err
		}
	}
	return h, nil
}

// read hands over a file that the child may read then. One that is not there, or that is
// no regular file, stays what it is.
func (h *Handed) read(who owner, variable, value, path string) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil
	}
	if fi, err := os.Stat(real); err != nil || !fi.Mode().IsRegular() || who.may(real, 4) {
		return nil
	}
	if h.paths[real] != "" {
		h.name(variable, value, real)
		return nil
	}
	f, err := openOurs(path, os.O_RDONLY, -1)
	if err != nil {
		return handError(variable, path, who, err)
	}
	handed, err := launch.Hand(f)
	if handed != f {
		f.Close()
	}
	if err != nil {
		return handError(variable, path, who, err)
	}
	h.add(handed, variable, value, real)
	return nil
}

// handError returns the error for a file that cannot be handed over.
func handError(variable, path string, who owner, err error) error {
	remedy := fmt.Sprintf("let the file belong to root, or let the child read it: chgrp %d %s && chmod 0640 %s, and its directories be searched by all", who.gid, path, path)
	return problem.Wrap(fmt.Errorf("%s: %s: %w", variable, path, durable.Cause(err)), cmp.Or(problem.Remedy(err), remedy))
}

// write gives a file that the provider keeps to the child's user. On Linux it is handed
// over as well: the child need not reach its directory. On other systems a file that is
// handed over cannot be truncated.
func (h *Handed) write(who owner, variable, path string) error {
	if real, err := filepath.EvalSymlinks(path); err == nil && who.may(real, 6) {
		return nil
	}
	f, err := openOurs(path, os.O_RDWR, who.uid)
	if errors.Is(err, fs.ErrNotExist) {
		launch.Create(map[string]string{path: emptyStore})
		f, err = openOurs(path, os.O_RDWR, who.uid)
	}
	if err != nil {
		return handError(variable, path, who, err)
	}
	err = f.Chown(who.uid, who.gid)
	reached := err == nil && who.may(path, 6) // as the next child finds it
	if err == nil && !reached && runtime.GOOS == "linux" {
		h.add(f, variable, path, path)
		return nil
	}
	f.Close()
	if err == nil && !reached {
		remedy := fmt.Sprintf("name a file in a directory of the child's: install -d -o %d -m 0700 /var/db/keypaird-dns", who.uid)
		err = problem.New("its directories are closed to the child", remedy)
	}
	if err != nil {
		return handError(variable, path, who, err)
	}
	return nil
}

// openOurs opens a regular file of root's, or of the user also, that nobody else can change
// or exchange: what it holds is given away, or the file itself.
func openOurs(path string, flags, also int) (*os.File, error) {
	real, err := durable.CheckFile(path)
	unsafe, shared := errors.AsType[*durable.UnsafeError](err)
	if shared = shared && sticky(unsafe.Path); err != nil && !shared {
		return nil, err
	}
	f, err := os.OpenFile(real, flags|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil {
		uid, ours := durable.Owner(fi)
		switch {
		case !fi.Mode().IsRegular():
			err = errors.New("it is not a regular file")
		case !ours && uid != also:
			err = fmt.Errorf("it belongs to user %d", uid)
		case fi.Mode()&0o022 != 0:
			err = problem.Newf("chmod go-w "+real, "it can be written by others (mode %04o)", fi.Mode().Perm())
		case fi.Sys().(*syscall.Stat_t).Nlink > 1 && (shared || flags != os.O_RDONLY):
			err = problem.New("it has another name, too: it is a hard link", "remove that one, or name a copy")
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Unusable returns what the provider reads at a fixed place, directories that variables
// name, and the program of exec, where the child's user may not.
func (a Account) Unusable(u *user.User) (list []string) {
	who, err := ids(u)
	if err != nil || os.Geteuid() != 0 {
		return nil
	}
	check := func(path string, bits fs.FileMode, wanted func(fs.FileInfo) bool) {
		if path = launch.Path(path, a.home()); path == "" {
			return
		}
		real, err := filepath.EvalSymlinks(path)
		if err != nil || who.may(real, bits) {
			return
		}
		if fi, err := os.Stat(real); err == nil && wanted(fi) {
			list = append(list, real)
		}
	}
	all := func(fs.FileInfo) bool { return true }
	for _, name := range slices.Sorted(maps.Keys(a.Env)) {
		if name != "HOME" {
			check(a.Env[name], 5, fs.FileInfo.IsDir)
		}
	}
	if len(a.need().named) == 0 {
		for _, path := range a.need().read {
			check(path, 4, all)
		}
	}
	if a.Code == "exec" {
		check(a.value("EXEC_PATH"), 5, all)
	}
	return list
}

// sticky reports whether a directory is one like /tmp, where others can neither remove nor
// rename a file of ours.
func sticky(path string) bool {
	fi, err := os.Lstat(path)
	if err != nil || fi.Mode()&fs.ModeSticky == 0 {
		return false
	}
	_, ours := durable.Owner(fi)
	return ours
}

// An owner is the user of a child, with its only group.
type owner struct{ uid, gid int }

func ids(u *user.User) (owner, error) {
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	return owner{uid, gid}, errors.Join(err1, err2)
}

// may reports whether modes let the user do with a file what bits say, from the root of
// the file system on. Access lists are not read: they only add what is handed over.
func (o owner) may(path string, bits fs.FileMode) bool {
	for ; ; path, bits = filepath.Dir(path), 1 {
		fi, err := os.Stat(path)
		if err != nil {
			return false
		}
		st := fi.Sys().(*syscall.Stat_t)
		mode := fi.Mode().Perm()
		switch {
		case int(st.Uid) == o.uid:
			mode >>= 6
		case int(st.Gid) == o.gid:
			mode >>= 3
		}
		if mode&bits != bits {
			return false
		}
		if path == "/" {
			return true
		}
	}
}
