package initial

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/config/tomltext"
	"keypaird/cmd/keypaird/preflight"
	"keypaird/hooks"
	"keypaird/renew/durable"
	"keypaird/renew/problem"
)

// checkPlace returns why no file can be made at a path.
func checkPlace(path string) error {
	if exists(path) {
		shown := tomltext.Printable(path, columns*10)
		return problem.Newf("to test it: keypaird -config "+word(shown)+" check; to write another one: keypaird init -o FILE", "there is %s already: it is left as it is", shown)
	}
	if dir, err := canMake(filepath.Dir(path)); err != nil {
		return problem.Newf("run this as root, or name another file: keypaird init -o FILE", "no file can be made in %s: %w", dir, err)
	}
	return nil
}

// canMake returns the first existing directory at or above dir, and an error if nothing can be
// made in it.
func canMake(dir string) (string, error) {
	for dir != "/" && !exists(dir) {
		dir = filepath.Dir(dir)
	}
	return dir, unix.Access(dir+"/.", unix.W_OK|unix.X_OK)
}

// mode returns the mode of the configuration file.
func (w *draft) mode() fs.FileMode {
	if w.group >= 0 {
		return 0o640 // the service reads it by its group
	}
	return 0o600
}

// parse returns the configuration, with its text.
func (w *draft) parse(ctx context.Context, getenv func(string) string) (*config.Config, string, error) {
	text := w.render(ctx)
	cfg, err := config.Options{Getenv: getenv, NoSecrets: true, HasProvider: preflight.HasProvider}.Parse(w.path, text, w.mode())
	return cfg, text, err
}

// write writes the configuration, and never over another file.
func (w *draft) write(ctx context.Context, getenv func(string) string) (*config.Config, error) {
	cfg, text, err := w.parse(ctx, getenv)
	if err != nil {
		return nil, err
	}
	if _, err := canMake(cfg.State); err != nil {
		w.state, w.usual = filepath.Join(filepath.Dir(w.path), "keypaird-state"), cfg.State
		if cfg, text, err = w.parse(ctx, getenv); err != nil {
			return nil, err
		}
	}
	if err := w.makeDir(filepath.Dir(w.path)); err != nil {
		return nil, err
	}
	if err := w.writeSecrets(); err != nil {
		return nil, err
	}
	tmp := filepath.Join(filepath.Dir(w.path), durable.TempName(filepath.Base(w.path)))
	defer os.Remove(tmp)
	protect := func(f *os.File) error {
		if w.group >= 0 {
			if err := f.Chown(0, w.group); err != nil {
				return err
			}
		}
		return f.Chmod(w.mode())
	}
	if err := durable.Stage(w.path, tmp, []byte(text), protect); err != nil {
		return nil, err
	}
	if err := os.Link(tmp, w.path); err != nil { // unlike a rename, it replaces nothing
		if errors.Is(err, fs.ErrExist) {
			return nil, checkPlace(w.path)
		}
		return nil, fmt.Errorf("%s cannot be made: %w", w.path, err)
	}
	return cfg, durable.SyncDir(filepath.Dir(w.path))
}

// makeDir makes the directory of the configuration, which will have secrets beside it:
// the service may pass through it, and its children, which have users of their own, too.
func (w *draft) makeDir(dir string) error {
	if exists(dir) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	mode := fs.FileMode(0o755)
	if w.group >= 0 {
		mode = 0o750
	}
	if err := os.Mkdir(dir, mode); err != nil {
		return err
	}
	if w.group >= 0 {
		if err := os.Chown(dir, 0, w.group); err != nil {
			return err
		}
	}
	return os.Chmod(dir, mode) // whatever the umask
}

// writeSecrets makes the files beside the configuration that it names and that are missing:
// a key that signs updates, with a copy for BIND, and empty ones for secrets that the
// operator knows.
func (w *draft) writeSecrets() error {
	w.missing, w.made = w.secrets(), map[string]bool{}
	for _, v := range w.missing {
		if filepath.Dir(v.value) != filepath.Dir(w.path) {
			continue
		}
		what, key := "empty, for a secret", []byte(nil)
		if isTSIG(v) {
			what, key = "the key that signs updates of the zone", newKey()
		}
		if err := w.create(v.value, key, w.mode(), w.group); err != nil {
			return err
		}
		w.wrote = append(w.wrote, v.value+": "+what)
		if key == nil || w.path != config.DefaultPath || w.nameServer() != "named" {
			continue
		}
		path, _, group := bindCopy()
		if gid, err := hooks.LookupGroup(group); err == nil && w.create(path, key, 0o640, gid) == nil {
			w.wrote = append(w.wrote, path+": the same key, for BIND, which may not read the other file")
		}
	}
	return nil
}

// newKey returns a file with a new key as tsig-keygen makes it.
func newKey() []byte {
	secret := make([]byte, 32)
	rand.Read(secret)
	return fmt.Appendf(nil, "key \"keypaird\" {\n\talgorithm hmac-sha256;\n\tsecret %q;\n};\n", base64.StdEncoding.EncodeToString(secret))
}

// create makes a file, and never replaces one. group is -1 for that of the process.
func (w *draft) create(path string, data []byte, mode fs.FileMode, group int) error {
	dir, err := durable.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err = dir.Create(durable.FileMode{Perm: mode, UID: -1, GID: group}, durable.File{Name: filepath.Base(path), Data: data}); err == nil {
		w.made[path] = true
		err = dir.Sync()
	}
	return err
}
