package preflight

import (
	"os"
	"testing"

	"keypaird/cmd/keypaird/config"
	"keypaird/renew/testutil"
)

// Only a page that other machines can read is warned of.
func TestPageForOthers(t *testing.T) {
	for _, tt := range []struct {
		name, addr string
		own        bool
	}{
		{"no page", "", true},
		{"loopback", "127.0.0.1:8403", true},
		{"all of 127.0.0.0/8 is loopback", "127.9.8.7:8403", true},
		{"loopback by IPv6", "[::1]:8403", true},
		{"loopback by name", "localhost:8403", true},
		{"unix socket", "unix:/run/keypaird/status.sock", true},
		{"unix socket with a colon in its name", "unix:/run/a:80", true},
		{"socket of the service manager", "fd:page", true},
		{"every address", ":8403", false},
		{"every address of IPv4", "0.0.0.0:8403", false},
		{"every address of IPv6", "[::]:8403", false},
		{"one of a network", "192.0.2.1:8403", false},
		{"a name", "status.example.org:8403", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := onLoopback(tt.addr); got != tt.own {
				t.Errorf("onLoopback(%q) = %v, want %v", tt.addr, got, tt.own)
			}
			if n := len(checkPage(&config.Config{Status: config.Status{Listen: tt.addr}})); (n == 0) != tt.own {
				t.Errorf("%d warnings of %q", n, tt.addr)
			}
		})
	}
}

// The daemon does not listen where another user could take the place of its socket.
func TestPageInOpenDirectory(t *testing.T) {
	dir := testutil.SafeDir(t)
	cfg := &config.Config{Status: config.Status{Listen: "unix:" + dir + "/page"}}
	if found := checkPage(cfg); len(found) > 0 {
		t.Errorf("a directory of its own: %v", found)
	}
	testutil.Must(t, os.Chmod(dir, 0o777))
	if found := checkPage(cfg); len(found) != 1 || found[0].Result != Failed || found[0].Remedy != "chmod go-w "+dir {
		t.Errorf("one that every user can write: %v", found)
	}
}
