package keypair

import (
	"fmt"
	"path/filepath"
	"testing"
)

// BenchmarkLook is what status (1,000 targets) and an idle pass (10,000) do
// with the store: for each target the live leaf and one state file. The aims
// are 150 ms and 1 s for the whole of either command.
func BenchmarkLook(b *testing.B) {
	for _, targets := range []int{1000, 10000} {
		b.Run(fmt.Sprint(targets), func(b *testing.B) {
			s, names := filled(b, targets)
			b.ReportAllocs()
			for b.Loop() {
				for _, name := range names {
					if _, _, _, err := s.LiveLeaf(name); err != nil {
						b.Fatal(err)
					}
					if _, err := s.ReadFile(name, "record.json"); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*targets), "µs/target")
		})
	}
}

// filled makes a store with the same pair under many names.
func filled(b *testing.B, targets int) (*Store, []string) {
	dir := b.TempDir()
	s := open(b, dir)
	setLive(b, s, name, add(b, s, name, newCA(b).pair(b, name)))
	must(b, s.WriteFile(name, "record.json", make([]byte, 600)))
	names := make([]string, targets)
	for i := range names {
		names[i] = fmt.Sprintf("n%05d.example.org", i)
		must(b, copyTree(s.Dir(name), filepath.Join(dir, "certs", names[i])))
	}
	return s, names
}

// BenchmarkCalls compares the ways to look at one target.
func BenchmarkCalls(b *testing.B) {
	s, names := filled(b, 1)
	name := names[0]
	for _, bm := range []struct {
		name string
		call func() error
	}{
		{"LiveLeaf", func() error { _, _, _, err := s.LiveLeaf(name); return err }},
		{"NewestLeaf", func() error { _, _, _, err := s.NewestLeaf(name); return err }},
		{"Live", func() error { return second(s.Live(name)) }},
		{"ReadFile", func() error { return second(s.ReadFile(name, "record.json")) }},
		{"WriteFile", func() error { return s.WriteFile(name, "record.json", make([]byte, 600)) }},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := bm.call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkIssue is what one new pair costs on disk: Add, SetLive, Prune.
func BenchmarkIssue(b *testing.B) {
	s := open(b, b.TempDir())
	p := newCA(b).pair(b, name)
	for b.Loop() {
		setLive(b, s, name, add(b, s, name, p))
		must(b, s.Prune(name))
	}
}
