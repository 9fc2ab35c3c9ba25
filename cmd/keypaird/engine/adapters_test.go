package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keypaird/acme"
	"keypaird/acme/dns01"
	"keypaird/cmd/keypaird/config"
	"keypaird/renew/notify"
)

// Another machine may reach a CA or a DNS account that this one cannot, but gets the same
// refusals.
func TestOrderErrorHere(t *testing.T) {
	account := &dns01.Account{Name: "ns", Provider: "httpreq", Child: "/nonexistent"}
	_, noAccount := account.Hold(t.Context())
	for _, tt := range []struct {
		err  error
		here bool
	}{
		{fmt.Errorf("ordering: %w", &acme.UnreachableError{CA: "ca", Err: errors.New("no route")}), true},
		{fmt.Errorf("example.org: dns-01: %w", noAccount), true},
		{&acme.Problem{CA: "ca", Type: "unauthorized", Identifier: "example.org", Challenge: acme.DNS01}, false},
		{&dns01.PropagationError{FQDN: "_acme-challenge.example.org."}, false},
	} {
		if got := orderError(tt.err); tt.err == nil || got.Here != tt.here || got.FailsHere() != tt.here {
			t.Errorf("%v: here %t, want %t", tt.err, got.Here, tt.here)
		}
	}
}

// In an incident there are more names than a variable holds.
func TestManyNotices(t *testing.T) {
	told := filepath.Join(t.TempDir(), "told")
	e := &Engine{Config: &config.Config{Notify: config.Notify{Command: []string{"/bin/sh", "-c", "echo $KEYPAIRD_NAMES | wc -w >>" + told}}}, options: Options{Log: slog.New(slog.DiscardHandler)}}
	var notices []notify.Notice
	for i := range 3000 {
		notices = append(notices, notify.Notice{Kind: notify.Failing, Target: fmt.Sprintf("%060d.example.org", i), Error: "x"})
	}
	if err := e.Send(t.Context(), notices); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(told)
	sum := 0
	for _, field := range strings.Fields(string(text)) {
		n := 0
		fmt.Sscan(field, &n)
		sum += n
	}
	if err != nil || sum != len(notices) {
		t.Errorf("told of %d names, %v: %q", sum, err, text)
	}
}
