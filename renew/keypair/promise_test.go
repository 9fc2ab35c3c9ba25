package keypair

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

type outcome struct {
	said, err string
	ok        bool
	fault     string
}

// look holds the state that a run left to the promises of the package.
func (c *crash) look(dir string, o outcome, trace string) error {
	began := strings.Contains(trace, beginMark)
	if began && strings.Contains(o.fault, "EINTR") && !o.ok {
		return errors.New("an interrupted call was not repeated")
	}
	if strings.Contains(o.fault, "error=E") && strings.Contains(o.err, "goroutine") && began {
		return errors.New("panicked")
	}
	if fsyncTwice(c.window(trace)) {
		return errors.New("tried fsync again after it failed")
	}
	if err := modes(dir); err != nil {
		return err
	}
	s, err := Open(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := c.lookLive(s, o); err != nil {
		return err
	}
	// A fault in Add or SetLive that is only an error leaves nothing behind,
	// unless it met the cleaning.
	failedEarly := strings.Contains(o.fault, "error=") && !strings.Contains(o.said, "live")
	if failedEarly && began && !strings.Contains(o.fault, "unlinkat") {
		for _, n := range list(s.Dir(name)) {
			if strings.HasPrefix(n, ".") {
				return fmt.Errorf("left %s behind", n)
			}
		}
	}
	return c.nextRun(s)
}

func (c *crash) lookLive(s *Store, o outcome) error {
	live, err := s.Live(name)
	if err != nil {
		return fmt.Errorf("live: %w", err)
	}
	fp := live.Pair.Fingerprint()
	if fp != c.want && fp != c.before {
		return fmt.Errorf("live is %s", live.ID)
	}
	if (o.ok || strings.Contains(o.said, "live")) && fp != c.want {
		return fmt.Errorf("live is %s after SetLive succeeded", live.ID)
	}
	if o.said == "" && fp != c.before {
		return fmt.Errorf("live is %s before Add ended", live.ID)
	}
	newest, err := s.Newest(name)
	if err != nil {
		return fmt.Errorf("newest: %w", err)
	}
	if newest.Skipped != nil {
		return fmt.Errorf("broken versions: %v", newest.Skipped)
	}
	if strings.Contains(o.said, "added") && newest.Pair.Fingerprint() != c.want {
		return fmt.Errorf("newest is %s after Add succeeded", newest.ID)
	}
	f, err := s.open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	ids, err := f.versions()
	for _, n := range ids {
		_, e := f.load(versionID(n))
		err = cmp.Or(err, e)
	}
	if err != nil {
		return fmt.Errorf("a version is not whole: %w", err)
	}
	record, err := s.ReadFile(name, "record.json")
	if err != nil || string(record) != "old" && string(record) != "new" {
		return fmt.Errorf("record is %q, %v", record, err)
	}
	key, err := s.ReadFile(name, "pending/key.pem")
	_, gone := os.Lstat(filepath.Join(s.Dir(name), "pending"))
	if string(key) != "key" && !errors.Is(gone, fs.ErrNotExist) {
		return fmt.Errorf("pending is neither whole nor gone: %q, %v", key, err)
	}
	return nil
}

// nextRun does what the run after a crash does.
func (c *crash) nextRun(s *Store) error {
	if err := s.Tidy(name); err != nil {
		return fmt.Errorf("tidying: %w", err)
	}
	newest, err := s.Newest(name)
	if err != nil {
		return err
	}
	if err := s.SetLive(name, newest); err != nil {
		return err
	}
	if err := s.Prune(name); err != nil {
		return err
	}
	names := list(s.Dir(name))
	if strings.HasPrefix(names[0], ".") {
		return fmt.Errorf("the next run left %q", names)
	}
	added, err := s.Add(name, newest.Pair)
	if err != nil {
		return err
	}
	if number(added.ID) != number(newest.ID)+1 {
		return fmt.Errorf("%s came after %s", added.ID, newest.ID)
	}
	live, err := s.Live(name)
	if err == nil && live.ID != newest.ID {
		err = fmt.Errorf("live is %s, want %s", live.ID, newest.ID)
	}
	return err
}

func list(dir string) []string {
	list, _ := os.ReadDir(dir)
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}
