package unconfigured

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pairtest"
	"keypaird/renew/renewtest"
)

// Each pass looks for what is no longer configured.
func BenchmarkFind(b *testing.B) {
	for _, left := range []int{0, 10} {
		b.Run(fmt.Sprintf("10000 targets, %d not configured", left), func(b *testing.B) {
			store, err := keypair.Open(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer store.Close()
			server := &renewtest.Server{Name: "proxy", Files: []string{"/etc/ssl/{name}.crt", "/etc/ssl/{name}.key"}}
			var targets []renew.Target
			for i := range 10000 {
				t := renew.Target{Name: fmt.Sprintf("host%d.example.org", i), Deploy: []renew.Deployer{server}}
				targets = append(targets, t)
				if err := os.Mkdir(filepath.Join(filepath.Dir(store.Dir("x")), t.Name), 0o700); err != nil {
					b.Fatal(err)
				}
			}
			p, err := pairtest.Issue([]string{"old.example.org"}, time.Now(), 90*day)
			if err != nil {
				b.Fatal(err)
			}
			for i := range left {
				if _, err := store.Add(fmt.Sprintf("old%d", i), p); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				if list, err := Find(store, targets); err != nil || len(list) != left {
					b.Fatal(list, err)
				}
			}
		})
	}
}
