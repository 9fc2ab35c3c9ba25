package launch

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"keypaird/renew/process"
)

// A Keep lists the files a process keeps access to, besides those needed for
// name resolution, TLS and local time. Files that do not exist when the process is
// confined are ignored and remain inaccessible if they are created later.
type Keep struct {
	Read  []string // files, and directories with all that is below them
	Write []string // files; may also be read, but not created or removed
	Bare  bool     // not even the files needed for name resolution, TLS and local time
}

// A Child is a program to start.
type Child struct {
	Path  string     // empty: this program
	Name  string     // what ps shows as the program's name; empty: Path
	Args  []string   // without the program's name
	Env   []string   // the whole environment
	User  string     // name, not root's, if this process is root; empty: the user of this process
	Files []*os.File `json:"-"` // its descriptors from 3 on; it has no others; see [Hand]

	Keep
	New      map[string]string // of Write: what a file that does not exist begins with
	Client   bool              // may connect to servers
	Server   bool              // may accept connections at the sockets among Files, or that they bring
	MaxFiles uint64            // how many descriptors it may have open; zero: 256
	Free     string            // why neither files nor system calls are restricted; empty: they are
}

// stageVariable is the number of the descriptor from which to read a [stage], as JSON.
// With it this program is one. In an environment, others of the same user could read it,
// and Linux takes no more than 128 KiB in a variable.
const stageVariable = "KEYPAIRD_LAUNCH"

// A stage contains the instructions for the process between.
type stage struct {
	Child
	Kept int // descriptors from 3 on
}

// Command returns the command that starts a child, and kills it when ctx ends. The caller
// may set its files and process group.
func Command(ctx context.Context, c Child) (*process.Cmd, error) {
	var err error
	if c.Path != "" { // else the runner's, which is this program, too
		if c.Path, err = filepath.Abs(c.Path); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	cmd := &process.Cmd{Request: process.Request{Child: text}, Files: c.Files}
	cmd.Here = func() (*exec.Cmd, error) { return Stage(c, len(c.Files), len(cmd.Files)) }
	return cmd.Bind(ctx), nil
}

// Self returns the command that runs this program again, even if its file was replaced.
func Self() (*exec.Cmd, error) {
	self, err := program()
	if err != nil {
		return nil, err
	}
	return exec.Command(self), nil
}

// Stage returns the command that starts a child. It is passed descriptors from 3 on, and
// keeps the first of them.
func Stage(c Child, kept, passed int) (*exec.Cmd, error) {
	cmd, err := Self()
	if err != nil {
		return nil, err
	}
	c.Path = cmp.Or(c.Path, cmd.Path)
	c.Name = cmp.Or(c.Name, c.Path)
	attr := &syscall.SysProcAttr{}
	if c.User != "" && os.Geteuid() == 0 {
		if attr.Credential, err = credential(c.User); err != nil {
			return nil, err
		}
	}
	// The program may import this package, too, and is no stage.
	c.Env = slices.DeleteFunc(slices.Clone(c.Env), func(variable string) bool { return strings.HasPrefix(variable, stageVariable+"=") })
	order, err := stage{c, kept}.pipe()
	if err != nil {
		return nil, err
	}
	cmd.Args[0] = c.Name               // what ps shows until the program runs
	cmd.ExtraFiles = []*os.File{order} // after those that are passed
	cmd.Env = []string{stageVariable + "=" + strconv.Itoa(3+passed)}
	cmd.Dir = "/" // the caller's may be closed to the child
	cmd.SysProcAttr = attr
	return cmd, nil
}

// pipe returns a pipe that holds the stage. Nobody need close it.
func (s stage) pipe() (*os.File, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	go func() { // it may hold less than all
		defer w.Close()
		_, _ = w.Write(text)
	}()
	return r, nil
}

// readStage reads the stage from the descriptor of that number.
func readStage(number string) (s stage, err error) {
	fd, err := strconv.ParseUint(number, 10, 31)
	if err != nil {
		return s, err
	}
	order := os.NewFile(uintptr(fd), "stage")
	defer order.Close()
	text, err := io.ReadAll(order)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	return s, err
}

// credential returns the user's numbers, with its primary group alone: keypaird's users
// are members of others to reload servers.
func credential(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("user %q: %w", name, err)
	}
	if uid == 0 {
		return nil, fmt.Errorf("user %q is root", name)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// NotStarted is the exit status of a stage that could not start its program.
const NotStarted = 126

// init makes this process a stage if it was started as one. It is done here because
// packages that import this one are initialized later.
func init() {
	number := os.Getenv(stageVariable)
	if number == "" {
		return
	}
	s, err := readStage(number)
	if err == nil {
		err = s.exec()
	}
	fmt.Fprintf(os.Stderr, "cannot be started confined: %v\n", err)
	os.Exit(NotStarted)
}

// Create makes the files, by path with their content, that do not exist and cannot be
// created later.
func Create(files map[string]string) {
	for path, content := range files {
		if f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err == nil {
			_, _ = f.WriteString(content)
			f.Close()
		}
	}
}

// Process restricts the files of this process, on all its threads and irreversibly, and
// on OpenBSD its system calls. It returns the name of the mechanism, or "" if this system
// has none.
func Process(k Keep) (mechanism string, err error) { return restrict(k) }

// ConfineServer restricts what the stage could not: on OpenBSD the system calls of a
// server, which is passed its sockets.
func ConfineServer() error { return confineServer() }

// run replaces the stage by its program.
func (s *stage) run() error {
	err := syscall.Exec(s.Path, append([]string{s.Name}, s.Args...), s.Env)
	return fmt.Errorf("running %s: %w", s.Path, err)
}
