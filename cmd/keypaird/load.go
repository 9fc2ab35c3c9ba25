package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"keypaird/renew/keypair"
)

const (
	configVariable = "KEYPAIRD_CONFIG"
	configDefault  = "/etc/keypaird/keypaird.toml"
	maxConfig      = 1 << 20
)

// LoadConfig reads the configuration: path, or else what $KEYPAIRD_CONFIG
// names, or else /etc/keypaird/keypaird.toml. Everything in it is checked and
// normalised. The error is Mistakes if it can be read and is wrong.
func LoadConfig(path string, env func(string) string) (*Config, error) {
	if path == "" {
		path = env(configVariable)
	}
	if path == "" {
		path = configDefault
	}
	text, mode, err := readConfig(path)
	if err != nil {
		return nil, err
	}
	r := &reader{file: path, text: string(text)}
	cfg := defaults(env, runtime.GOOS)
	if !r.parse() {
		return nil, r.mistakes
	}
	r.takeStruct(nil, r.values, reflect.ValueOf(cfg).Elem())
	c := &checker{reader: r, cfg: cfg, secret: mode&0o077 == 0}
	c.check()
	if len(r.mistakes) > 0 {
		slices.SortStableFunc(r.mistakes, func(a, b Mistake) int { return a.Line - b.Line })
		return nil, r.mistakes
	}
	return cfg, nil
}

// defaults is the configuration of an empty file.
func defaults(env func(string) string, goos string) *Config {
	state := env("STATE_DIRECTORY")
	switch {
	case state != "":
		state, _, _ = strings.Cut(state, ":") // systemd lists several
	case strings.HasSuffix(goos, "bsd"):
		state = "/var/db/keypaird"
	default:
		state = "/var/lib/keypaird"
	}
	return &Config{
		State: state, SignWith: []string{"letsencrypt"}, Schedule: "@every 30m", Key: "ec256", Parallel: 8,
		HTTP01: HTTP01Config{Listen: ":80"},
	}
}

// A FileError reports a configuration file that cannot be read or trusted.
type FileError struct {
	Path, Problem, Hint string
}

func (e *FileError) Error() string { return e.Path + ": " + e.Problem }

// Remedy says what the operator can do about it.
func (e *FileError) Remedy() string { return e.Hint }

// readConfig reads a configuration that nobody else can have written.
func readConfig(path string) ([]byte, os.FileMode, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, missing(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, missing(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, &FileError{path, "is not a regular file", "name a file with -config or $" + configVariable}
	}
	if err := trusted(path, info); err != nil {
		return nil, 0, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return nil, 0, missing(path, err)
	}
	if len(text) > maxConfig {
		return nil, 0, &FileError{path, "is longer than 1 MiB", "see that it is the configuration of keypaird"}
	}
	return text, info.Mode().Perm(), nil
}

func missing(path string, err error) error {
	problem := err
	var pe *os.PathError
	if errors.As(err, &pe) {
		problem = pe.Err
	}
	return &FileError{path, problem.Error(), "write a configuration there, or name another file with -config or $" + configVariable + "; the examples are a start"}
}

// trusted refuses a file that others can change: it names commands that are run
// and files that are written.
func trusted(path string, info os.FileInfo) error {
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return &FileError{path, fmt.Sprintf("belongs to user %d", st.Uid), "let it belong to root or to whoever runs keypaird: chown"}
	}
	if info.Mode().Perm()&0o022 != 0 {
		return &FileError{path, fmt.Sprintf("can be written by others (mode %04o)", info.Mode().Perm()), "chmod go-w " + path}
	}
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return missing(path, err)
	}
	return keypair.CheckDir(filepath.Dir(real))
}

// stat looks at a file that the configuration names and keypaird reads.
func stat(path string) (os.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, plain(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, plain(err)
	}
	return info, f.Close()
}

// plain takes operation and path off an error that is printed beside the path.
func plain(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

const defaultPropagation = 2 * time.Minute
