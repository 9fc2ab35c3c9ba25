package engine

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keypaird/acme"
	"keypaird/acme/accountfile"
	"keypaird/acme/orderlog"
	"keypaird/cmd/keypaird/config"
	"keypaird/renew"
)

// A sharedOrder is an order under way that other machines have, too.
type sharedOrder struct {
	acme.OrderStore
	cleared *[]string
	name    string
}

func (s sharedOrder) Clear() error {
	*s.cleared = append(*s.cleared, s.name)
	return s.OrderStore.Clear()
}

// noSharing implements renew.Sharing.
type noSharing struct{ renew.Sharing }

// What machines have in common takes the place of the files, but not in a dry run.
func TestShared(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keypaird.toml")
	if err := os.WriteFile(path, []byte(`
state = "`+dir+`/state"
sign_with = ["letsencrypt", "letsencrypt-staging"]
[cert.one]
http-01 = ["one.example.org"]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Options{Path: path, Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	var asked, cleared []string
	shared := Shared{
		Orders: func(target, ca string, files acme.OrderStore) acme.OrderStore {
			asked = append(asked, "order of "+target+" at "+ca)
			return sharedOrder{files, &cleared, ca}
		},
		Account: func(ca string, files accountfile.Store) accountfile.Store {
			asked = append(asked, "account at "+ca)
			return files
		},
		OrderLog: func(ca string, file *orderlog.Log) acme.OrderLog {
			asked = append(asked, "order log of "+ca)
			return file
		},
		Target: func(t renew.Target) renew.Sharing {
			asked = append(asked, "target "+t.Name+" of "+strings.Join(t.CAs(), " "))
			return noSharing{}
		},
	}
	e, err := New(cfg, Options{Log: slog.New(slog.DiscardHandler), Shared: shared})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err := e.CAs(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(asked)
	want := "account at letsencrypt, account at letsencrypt-staging, order log of letsencrypt, order log of letsencrypt-staging, " +
		"order of one at letsencrypt, order of one at letsencrypt-staging, target one of letsencrypt letsencrypt-staging"
	if got := strings.Join(asked, ", "); got != want {
		t.Errorf("asked for %s\nwant %s", got, want)
	}
	if e.Targets[0].Sharing == nil {
		t.Error("the target is not shared")
	}
	if err := e.Targets[0].Issuers[0].(*issuer).orders.clear(); err != nil || len(cleared) != 2 {
		t.Errorf("cleared %v, %v; want the orders at both CAs", cleared, err)
	}

	asked = nil
	rehearsal, err := New(cfg, Options{Log: slog.New(slog.DiscardHandler), Shared: shared, DryRun: filepath.Join(dir, "dry")})
	if err != nil {
		t.Fatal(err)
	}
	defer rehearsal.Close()
	if _, err := rehearsal.CAs(); err != nil || len(asked) > 0 || rehearsal.Targets[0].Sharing != nil {
		t.Errorf("a dry run: %v, asked for %q", err, asked)
	}
}
