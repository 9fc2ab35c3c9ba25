package keypair

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestPrune(t *testing.T) {
	ca := newCA(t)
	for _, tt := range []struct {
		name   string
		total  int
		live   int
		broken []int
		keep   []int // by fingerprint
		want   []int
	}{
		{"newest is live", 6, 6, nil, nil, []int{4, 5, 6}},
		{"few", 3, 3, nil, nil, []int{1, 2, 3}},
		{"nothing live", 5, 0, nil, nil, []int{3, 4, 5}},
		{"rolled back", 7, 4, nil, nil, []int{2, 3, 4, 5, 6, 7}},
		{"long rolled back", 9, 3, nil, nil, []int{1, 2, 3, 7, 8, 9}},
		{"a deployment still serves the first", 6, 6, nil, []int{1}, []int{1, 4, 5, 6}},
		{"newest is broken", 6, 5, []int{6}, nil, []int{3, 4, 5, 6}},
		{"an old one is broken", 6, 6, []int{5}, nil, []int{3, 4, 6}},
		{"live is broken", 6, 4, []int{4}, nil, []int{2, 3, 4, 5, 6}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			var keep []string
			for n := 1; n <= tt.total; n++ {
				v := add(t, s, name, ca.pair(t, name))
				if n == tt.live {
					setLive(t, s, name, v)
				}
				if slices.Contains(tt.broken, n) {
					damage(t, v.Dir+"/privkey.pem", nil)
				}
				if slices.Contains(tt.keep, n) {
					keep = append(keep, v.Pair.Fingerprint())
				}
			}
			must(t, s.Prune(name, keep...))
			var want []string
			if tt.live > 0 {
				want = append(want, "live")
			}
			for _, n := range tt.want {
				want = append(want, versionID(n))
			}
			if got := entries(t, s.Dir(name)); !slices.Equal(got, want) {
				t.Errorf("kept %q, want %q", got, want)
			}
		})
	}
}

func TestPruneWhenInDoubt(t *testing.T) {
	ca := newCA(t)
	s := open(t, t.TempDir())
	for range 5 {
		add(t, s, name, ca.pair(t, name))
	}
	must(t, os.Symlink("elsewhere", filepath.Join(s.Dir(name), "live")))
	if err := s.Prune(name); !isBroken(err) {
		t.Errorf("Prune without knowing what is live: %v", err)
	}
	if n := len(entries(t, s.Dir(name))); n != 6 {
		t.Errorf("%d entries left, want all 6", n)
	}
	must(t, s.Prune("unknown.example.org"))
}

func TestTidy(t *testing.T) {
	ca := newCA(t)
	s := open(t, t.TempDir())
	must(t, s.Tidy(name))
	setLive(t, s, name, add(t, s, name, ca.pair(t, name)))
	must(t, s.WriteFile(name, "pending/key.pem", []byte("key")))
	d := s.Dir(name)
	must(t, os.Mkdir(d+"/.tmp-v000002-0011223344556677", 0o700))
	damage(t, d+"/.tmp-v000002-0011223344556677/privkey.pem", []byte("x"))
	must(t, os.Symlink("v000002", d+"/.tmp-live-0011223344556677"))
	damage(t, d+"/.record.json.0011223344556677.tmp", []byte("x"))
	damage(t, d+"/pending/.key.pem.0011223344556677.tmp", []byte("x"))
	damage(t, d+"/.keep", []byte("x"))
	must(t, s.Tidy(name))
	if got := entries(t, d); !slices.Equal(got, []string{".keep", "live", "pending", "v000001"}) {
		t.Errorf("directory holds %q", got)
	}
	if got := entries(t, d+"/pending"); !slices.Equal(got, []string{"key.pem"}) {
		t.Errorf("pending holds %q", got)
	}
}
