package keypair

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"keypaird/renew/durable"
)

// TestFileSizeLimit cuts writes short at every hundredth byte, also where no
// small file system can be mounted.
func TestFileSizeLimit(t *testing.T) { runHelper(t, "fsize") }

// TestOpenFilesLimit looks for the newest version with too few file
// descriptors. That is no reason to call it broken and go back to another.
func TestOpenFilesLimit(t *testing.T) { runHelper(t, "files") }

// fixture makes a store with one live version of name, and the chain and key
// of a pair to add, as files.
func fixture(t *testing.T) (dir, chain, key string) {
	t.Helper()
	ca := newCA(t)
	tmp := t.TempDir()
	dir, chain, key = tmp+"/state", tmp+"/chain", tmp+"/key"
	s := open(t, dir)
	setLive(t, s, name, add(t, s, name, ca.pair(t, name)))
	p := ca.pair(t, name)
	damage(t, chain, p.FullChain())
	damage(t, key, p.Key())
	return dir, chain, key
}

// runHelper runs a helper on such a fixture.
func runHelper(t *testing.T, helper string) {
	t.Helper()
	dir, chain, key := fixture(t)
	cmd := exec.Command(os.Args[0], dir, chain, key)
	cmd.Env = helperEnviron(helper)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func openFixture(args []string) (*Store, *Pair, error) {
	p, err := readPair(args[1], args[2])
	if err != nil {
		return nil, nil, err
	}
	s, err := Open(args[0])
	return s, p, err
}

// helpFileSize adds under ever larger limits on the size of a file.
func helpFileSize(args []string) error {
	signal.Ignore(syscall.SIGXFSZ)
	s, p, err := openFixture(args)
	if err != nil {
		return err
	}
	largest := len(p.Combined())
	for limit := 0; limit <= largest+100; limit += 100 {
		if err := setLimit(syscall.RLIMIT_FSIZE, limit); err != nil {
			return err
		}
		added, err := tryAdd(s, p, syscall.EFBIG)
		if err != nil {
			return fmt.Errorf("files of at most %d bytes: %w", limit, err)
		}
		for write, err := range map[string]error{
			"WriteFile":       durable.WriteFile(args[0]+"/x.pem", make([]byte, largest+1000), durable.Private),
			"Store.WriteFile": s.WriteFile(name, "record.json", make([]byte, largest+1000)),
		} {
			if names := append(list(args[0]), list(s.Dir(name))...); !errors.Is(err, syscall.EFBIG) || strings.Contains(fmt.Sprint(names), ".tmp") {
				return fmt.Errorf("%s: %w, left %q", write, err, names)
			}
		}
		if added != (limit >= largest) {
			return fmt.Errorf("files of at most %d bytes: added %v", limit, added)
		}
	}
	return nil
}

// helpOpenFiles looks for the newest version with ever more descriptors.
func helpOpenFiles(args []string) error {
	s, p, err := openFixture(args)
	if err != nil {
		return err
	}
	v, err := s.Add(name, p)
	if err != nil {
		return err
	}
	if err := setLimit(syscall.RLIMIT_NOFILE, 100); err != nil {
		return err
	}
	var taken []*os.File
	for {
		f, err := os.Open("/")
		if err != nil {
			break
		}
		taken = append(taken, f)
	}
	failures := 0
	for _, f := range taken {
		got, err := s.Newest(name)
		_, id, _, cheap := s.NewestLeaf(name)
		found, lost := s.Find(name, p.Fingerprint())
		pruned := s.Prune(name)
		for _, err := range []error{err, cheap, lost, pruned} {
			if err != nil && !errors.Is(err, syscall.EMFILE) {
				return fmt.Errorf("without descriptors: %w", err)
			}
		}
		if err == nil && got.ID != v.ID || cheap == nil && id != v.ID || lost == nil && found.ID != v.ID {
			return fmt.Errorf("newest is %s or %s or %s, want %s", got.ID, id, found.ID, v.ID)
		}
		if err != nil {
			failures++
		}
		f.Close()
	}
	if failures < 3 || failures > 20 {
		return fmt.Errorf("newest failed %d times of %d", failures, len(taken))
	}
	return nil
}

func setLimit(resource, n int) error {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(resource, &r); err != nil {
		return err
	}
	assign(&r.Cur, n)
	return syscall.Setrlimit(resource, &r)
}

// assign sets a limit, which is unsigned on some systems.
func assign[T int64 | uint64](p *T, n int) { *p = T(n) }

// tryAdd adds p and makes it live. If that fails, it has to be for want, and
// the state has to be as before to the byte.
func tryAdd(s *Store, p *Pair, want error) (added bool, err error) {
	before, err := snapshot(s.certs.Path())
	if err != nil {
		return false, err
	}
	v, err := s.Add(name, p)
	if err == nil {
		if before, err = snapshot(s.certs.Path()); err != nil { // the version is there to stay
			return false, err
		}
		err = s.SetLive(name, v)
	}
	if err == nil {
		live, err := s.Live(name)
		if err == nil && live.Pair.Fingerprint() != p.Fingerprint() {
			err = errors.New("what was made live is not")
		}
		return true, err
	}
	var failed *durable.WriteError
	if !errors.As(err, &failed) || !errors.Is(err, want) || !strings.HasPrefix(failed.Path, s.certs.Path()) || failed.Done {
		return false, fmt.Errorf("failed with %w, want %w about a path in the store", err, want)
	}
	after, err := snapshot(s.certs.Path())
	if err == nil && before != after {
		err = fmt.Errorf("state was\n%s and is\n%s", before, after)
	}
	return false, err
}

// snapshot is a text of all that is below dir.
func snapshot(dir string) (string, error) {
	var b bytes.Buffer
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %v", path, d.Type())
		switch d.Type() {
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			fmt.Fprintf(&b, " %s\n", target)
			return err
		case 0:
			data, err := os.ReadFile(path)
			fmt.Fprintf(&b, " %x", data)
			if err != nil {
				return err
			}
		}
		b.WriteByte('\n')
		return nil
	})
	return b.String(), err
}
