package responder

import (
	"cmp"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"keypaird/renew/durable"
	"keypaird/renew/problem"
)

const (
	maxResponse  = 512            // a key authorization is a token, a dot and 43 characters
	responseLife = 24 * time.Hour // an older one was left by a killed process
	unfinished   = ".token-"      // begins the name of a file that is being written
)

// Files are the responses in a directory, a file each.
type Files struct {
	Dir    string // required
	Mode   fs.FileMode
	Make   bool                            // the directory, if it is missing
	Remedy string                          // if a response cannot be written
	Fits   func(name, content string) bool // reports whether this is the file of a response
	Log    *slog.Logger
}

var errNotResponse = errors.New("not the file of a response")

// Read returns a response. Only a plain file counts; symbolic links are not followed.
func (f Files) Read(name string) (string, error) {
	if filepath.Base(name) != name || strings.HasPrefix(name, ".") {
		return "", errNotResponse
	}
	data, _, err := durable.ReadFile(filepath.Join(f.Dir, name), maxResponse, durable.NoLink)
	if err != nil {
		return "", err
	}
	if !f.Fits(name, string(data)) {
		return "", errNotResponse
	}
	return string(data), nil
}

// Publish makes a response live, in one step.
func (f Files) Publish(name, content string) error {
	var err error
	if f.Make {
		err = makeDir(f.Dir)
	}
	if err == nil {
		err = durable.CheckDir(f.Dir)
	}
	if err == nil {
		err = f.write(name, content)
	}
	if err == nil { // one that cannot be read would make the order invalid
		if _, err = f.Read(name); err != nil {
			f.Withdraw(name)
		}
	}
	if _, open := errors.AsType[*durable.UnsafeError](err); err == nil || open {
		return err
	}
	return problem.Newf(cmp.Or(problem.Remedy(err), f.Remedy), "writing a token to %s: %w", f.Dir, err)
}

// makeDir makes a directory for responses if it is missing. A power failure may take it
// away with them: the next order makes it again, and none waits for the disk.
func makeDir(path string) error {
	if err := os.Mkdir(path, 0o700); err == nil || errors.Is(err, fs.ErrExist) {
		return nil
	}
	return durable.MakeDir(path) // with those above it, or it knows why not
}

func (f Files) write(name, content string) error {
	if !f.Fits(name, content) {
		return errNotResponse
	}
	file, err := os.CreateTemp(f.Dir, unfinished+"*")
	if err != nil {
		return err
	}
	err = file.Chmod(f.Mode)
	if err == nil {
		_, err = file.WriteString(content)
	}
	if e := file.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(file.Name(), filepath.Join(f.Dir, name))
	}
	if err != nil {
		_ = os.Remove(file.Name()) // a file that stays is swept a day later
	}
	return err
}

// Withdraw removes a response, if it is there.
func (f Files) Withdraw(name string) {
	file := filepath.Join(f.Dir, name)
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.Log.Warn("token not removed", "file", file, "err", err)
	}
}

// Sweep removes the responses that killed processes left, if they end with end.
func (f Files) Sweep(end string) {
	entries, err := os.ReadDir(f.Dir)
	if err != nil {
		return // Publish reports it
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || time.Since(info.ModTime()) < responseLife {
			continue
		}
		content, err := f.Read(e.Name())
		if strings.HasPrefix(e.Name(), unfinished) || err == nil && strings.HasSuffix(content, end) {
			f.Withdraw(e.Name())
		}
	}
}
