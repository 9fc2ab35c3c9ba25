package keypair

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"keypaird/renew/testutil"
)

const helperEnv = "KEYPAIR_TEST_HELPER"

// TestMain lets the test binary stand in for a process that is killed, is out
// of disk space, or holds a lock. It runs the same code as the tests.
func TestMain(m *testing.M) {
	helpers := map[string]func(args []string) error{
		"issue": helpIssue,
		"fsize": helpFileSize,
		"files": helpOpenFiles,
		"disk":  helpFullDisk,
		"umask": helpUmask,
	}
	if help, ok := helpers[os.Getenv(helperEnv)]; ok {
		if err := help(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	syscall.Umask(0o022) // or the tests' own directories may be open to the group
	os.Exit(testutil.Run(m))
}

// helperEnviron is the environment that makes the test binary a helper. The
// race detector would have each of them sleep for a second before it ends.
func helperEnviron(helper string) []string {
	return append(os.Environ(), helperEnv+"="+helper, "GORACE=atexit_sleep_ms=0")
}

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func add(t testing.TB, s *Store, name string, p *Pair) Version {
	t.Helper()
	v, err := s.Add(name, p)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func setLive(t testing.TB, s *Store, name string, v Version) {
	t.Helper()
	if err := s.SetLive(name, v); err != nil {
		t.Fatal(err)
	}
}

// damage overwrites a file of a store, as a bad disk would.
func damage(t testing.TB, path string, data []byte) {
	t.Helper()
	testutil.WriteFile(t, path, data, 0o600)
}

var (
	must    = testutil.Must
	memory  = testutil.Memory
	entries = testutil.Entries
)

// copyTree copies a store, links and all, with the store's own modes.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		dest := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(dest, 0o700)
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(target, dest)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(dest, data, 0o600)
	})
}

// modes reports the first entry under dir that is not as private as a store's
// should be.
func modes(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := map[fs.FileMode]fs.FileMode{fs.ModeDir: 0o700, 0: 0o600}[d.Type()]
		if d.Type() != fs.ModeSymlink && info.Mode().Perm() != want {
			return fmt.Errorf("%s has mode %04o, want %04o", path, info.Mode().Perm(), want)
		}
		return nil
	})
}
