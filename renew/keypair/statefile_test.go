package keypair

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestStateFiles(t *testing.T) {
	s := open(t, t.TempDir())
	if _, err := s.ReadFile(name, "record.json"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadFile before any: %v", err)
	}
	must(t, s.RemoveAll(name, "pending"))
	must(t, s.WriteFile(name, "pending/key.pem", []byte("key")))
	must(t, s.WriteFile(name, "record.json", []byte("one, longer")))
	must(t, s.WriteFile(name, "record.json", []byte("two")))
	for file, want := range map[string]string{"record.json": "two", "pending/key.pem": "key"} {
		if got, err := s.ReadFile(name, file); err != nil || string(got) != want {
			t.Errorf("ReadFile(%s) = %q, %v, want %q", file, got, err, want)
		}
	}
	must(t, modes(s.certs.Path()))
	must(t, s.RemoveAll(name, "pending/none"))
	must(t, s.RemoveAll(name, "pending"))
	must(t, s.RemoveAll(name, "pending/key.pem"))
	if _, err := s.ReadFile(name, "pending/key.pem"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadFile after RemoveAll: %v", err)
	}
	if got := entries(t, s.Dir(name)); !slices.Equal(got, []string{"record.json"}) {
		t.Errorf("directory holds %q", got)
	}
	must(t, os.Truncate(filepath.Join(s.Dir(name), "record.json"), maxStateFile+1))
	if _, err := s.ReadFile(name, "record.json"); !isBroken(err) {
		t.Errorf("ReadFile of a huge file: %v", err)
	}
	err := s.WriteFile(name, "record.json", make([]byte, maxStateFile+1))
	if want := "writing " + s.Dir(name) + "/record.json: too large to be read back: 1048577 bytes"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("WriteFile wrote what ReadFile refuses: %v, want %q", err, want)
	}
}

// TestPlantedLinks puts symbolic links where the store reads and writes. What
// they point to must stay unread and untouched.
func TestPlantedLinks(t *testing.T) {
	ca := newCA(t)
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	must(t, os.Mkdir(victim, 0o700))
	damage(t, filepath.Join(victim, "key.pem"), []byte("secret"))
	s := open(t, filepath.Join(dir, "state"))
	add(t, s, name, ca.pair(t, name))
	must(t, os.Symlink(filepath.Join(victim, "key.pem"), filepath.Join(s.Dir(name), "record.json")))
	must(t, os.Symlink("v000001/privkey.pem", filepath.Join(s.Dir(name), "inside.json")))
	must(t, os.Symlink(victim, filepath.Join(s.Dir(name), "pending")))
	must(t, os.Symlink(victim, filepath.Join(s.Dir(name), ".tmp-planted")))
	must(t, os.Symlink(name, s.Dir("alias.example.org")))

	for _, file := range []string{"record.json", "inside.json", "pending/key.pem"} {
		if got, err := s.ReadFile(name, file); !isBroken(err) {
			t.Errorf("ReadFile(%s) = %q, %v, want a BrokenError", file, got, err)
		}
	}
	if err := s.WriteFile(name, "pending/key.pem", []byte("new")); err == nil {
		t.Error("WriteFile wrote through a link to a directory")
	}
	if err := s.RemoveAll(name, "pending/key.pem"); err == nil {
		t.Error("RemoveAll went through a link to a directory")
	}
	must(t, s.WriteFile(name, "record.json", []byte("new")))
	if got, err := s.ReadFile(name, "record.json"); err != nil || string(got) != "new" {
		t.Errorf("the link was not replaced: %q, %v", got, err)
	}
	must(t, s.RemoveAll(name, "pending"))
	must(t, s.Tidy(name))
	for call, err := range map[string]error{
		"Add":    second(s.Add("alias.example.org", ca.pair(t, name))),
		"Newest": second(s.Newest("alias.example.org")),
		"Tidy":   s.Tidy("alias.example.org"),
	} {
		if !isBroken(err) {
			t.Errorf("%s through a link: %v, want a BrokenError", call, err)
		}
	}
	if got := entries(t, s.Dir(name)); !slices.Equal(got, []string{"inside.json", "record.json", "v000001"}) {
		t.Errorf("directory holds %q", got)
	}
	if got, err := os.ReadFile(filepath.Join(victim, "key.pem")); err != nil || string(got) != "secret" {
		t.Errorf("the victim was touched: %q, %v", got, err)
	}
}
