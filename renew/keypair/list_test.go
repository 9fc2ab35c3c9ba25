package keypair

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestList(t *testing.T) {
	ca, s := newCA(t), open(t, t.TempDir())
	for _, name := range []string{"mail", "*.example.org", "chat"} {
		add(t, s, name, ca.pair(t, name))
	}
	certs := filepath.Dir(s.Dir("mail"))
	for _, other := range []string{".tmp-gone-1", "Upper", "lost+found"} {
		must(t, os.Mkdir(filepath.Join(certs, other), 0o700))
	}
	must(t, os.WriteFile(filepath.Join(certs, "readme"), nil, 0o600))
	got, err := s.List(map[string]bool{"chat": true, "missing": true})
	must(t, err)
	if want := []string{"*.example.org", "mail"}; !slices.Equal(got, want) {
		t.Errorf("List = %q, want %q", got, want)
	}
}

func TestRemove(t *testing.T) {
	ca, s := newCA(t), open(t, t.TempDir())
	setLive(t, s, "mail", add(t, s, "mail", ca.pair(t, "mail")))
	add(t, s, "chat", ca.pair(t, "chat"))
	certs := filepath.Dir(s.Dir("mail"))
	// A process was killed while it removed another.
	must(t, os.MkdirAll(filepath.Join(certs, ".tmp-gone-0123", "v000001"), 0o700))

	must(t, s.Remove("mail"))
	if got := entries(t, certs); !slices.Equal(got, []string{"chat"}) {
		t.Errorf("there is %q, want chat", got)
	}
	if err := s.Remove("mail"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Remove again = %v, want %v", err, fs.ErrNotExist)
	}
	for _, bad := range []string{"", "..", "../certs", "."} {
		if err := s.Remove(bad); err == nil {
			t.Errorf("Remove(%q) = nil, want an error", bad)
		}
	}
	// The name can be used again.
	if v := add(t, s, "mail", ca.pair(t, "mail")); v.ID != "v000001" {
		t.Errorf("version %s, want v000001", v.ID)
	}
}

// The certificates of all versions can be compared, newest first, without a key.
func TestCertificates(t *testing.T) {
	ca, s := newCA(t), open(t, t.TempDir())
	if _, err := s.Certificates("mail"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of no target: %v", err)
	}
	one, two, three := ca.pair(t, "mail"), ca.pair(t, "mail"), ca.pair(t, "mail")
	for _, p := range []*Pair{one, two, three} {
		add(t, s, "mail", p)
	}
	dir := s.Dir("mail")
	must(t, os.Remove(filepath.Join(dir, "v000001", keyFile)))
	must(t, os.WriteFile(filepath.Join(dir, "v000002", fullChainFile), []byte("no certificate"), 0o600))
	list, err := s.Certificates("mail")
	must(t, err)
	if len(list) != 2 || list[0].ID != "v000003" || list[0].Fingerprint != three.Fingerprint() || list[1].ID != "v000001" || list[1].Fingerprint != one.Fingerprint() {
		t.Fatalf("%v", list)
	}
	if n := len(three.Chain); n == 0 || len(list[0].Chain) != n || !slices.Equal(list[0].Chain[0], three.Chain[0].Raw) {
		t.Errorf("a chain of %d, want %d", len(list[0].Chain), n)
	}
}
