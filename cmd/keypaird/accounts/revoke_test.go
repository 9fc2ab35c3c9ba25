package accounts

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/renew"
	"keypaird/renew/keypair/pairtest"
	"keypaird/renew/problem"
	"keypaird/renew/status/nodes"
)

// In a fleet, a certificate in use is revoked by the node in the seat: another could not tell
// that to the one which replaces it.
func TestRevokeInFleet(t *testing.T) {
	for _, tt := range []struct {
		name, seat, target string
		refused            bool
	}{
		{"another node sits", "mx1", "a.example", true},
		{"this node sits", "mx2", "a.example", false},
		{"it is not known who sits", "", "a.example", false},
		{"nobody replaces it", "mx1", "old.example", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "keypaird.toml")
			text := "state = \"" + dir + "/state\"\nsign_with = [\"local\"]\n[ca.local]\ndirectory = \"https://127.0.0.1:1/dir\"\n[cert.\"a.example\"]\nhttp-01 = [\"a.example\"]\n"
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg, err := config.Load(config.Options{Path: path, Getenv: func(string) string { return "" }})
			if err != nil {
				t.Fatal(err)
			}
			e, err := engine.New(cfg, engine.Options{Log: slog.New(slog.DiscardHandler), Shared: engine.Shared{
				Describe: func() *nodes.Fleet { return &nodes.Fleet{Node: "mx2", Seat: tt.seat} },
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			p, err := pairtest.Issue([]string{tt.target}, time.Now(), 90*24*time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			id, err := e.Store.Add(tt.target, p)
			if err == nil {
				err = e.Store.SetLive(tt.target, id)
			}
			var record renew.Record
			record.SetIssued("", "local", p.Fingerprint(), time.Now())
			if err == nil {
				err = new(renew.Records).Save(e.Store, tt.target, record)
			}
			r := Revocation{Target: tt.target, Key: true}
			if err == nil {
				err = r.Find(e)
			}
			if err != nil {
				t.Fatal(err)
			}
			ended, cancel := context.WithCancel(t.Context())
			cancel() // no CA is asked
			done, err := r.Run(ended, e)
			if err == nil {
				t.Fatal("revoked without a CA")
			}
			if refused := strings.HasPrefix(err.Error(), "node mx1 replaces the certificate"); refused != tt.refused || refused && problem.Remedy(err) != "run it on node mx1" {
				t.Errorf("%v (%s)", err, problem.Remedy(err))
			}
			if anew := strings.Contains(done.remedy, "issue -new-key "+tt.target); anew != (tt.seat == "") {
				t.Errorf("remedy: %s", done.remedy)
			}
		})
	}
}
