package hooks

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"keypaird/renew"
)

// BenchmarkDeploy is the cost of files and commands, without a server: key and
// chain of that many targets, then one check and one reload.
func BenchmarkDeploy(b *testing.B) {
	for _, n := range []int{1, 50, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := b.TempDir()
			if err := os.Chmod(dir, 0o755); err != nil {
				b.Fatal(err)
			}

			var changes [2][]renew.Change // in turn: what is there already is not written
			for turn := range changes {
				p := newPair(b, -time.Hour, time.Hour, plain)
				for i := range n {
					changes[turn] = append(changes[turn], renew.Change{Name: fmt.Sprintf("t%d.example.org", i), New: p})
				}
			}
			d := Deployment{Name: "x", Chain: filepath.Join(dir, "{name}.crt"), Key: filepath.Join(dir, "{name}.key"), Check: []string{"true"}, Reload: []string{"true"}}
			for turn := 0; b.Loop(); turn++ {
				if err := d.deploy(b.Context(), changes[turn%2]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
