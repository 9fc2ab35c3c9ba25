package fleet

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/preflight"
	"keypaird/renew/fleet/envelope"
	"keypaird/renew/fleet/wire"
)

// text returns findings as keypaird check prints them.
func text(t *testing.T, found preflight.Findings) string {
	t.Helper()
	var b strings.Builder
	if err := found.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestCheck(t *testing.T) {
	all, lines := machines(t, nil, "mx1", "mx3")
	m := all[0]
	check := func() string {
		t.Helper()
		cfg, err := config.Load(config.Options{Path: m.file, Getenv: os.Getenv, Hostname: func() (string, error) { return "mx1", nil }})
		if err != nil {
			t.Fatal(err)
		}
		found := Check(cfg)
		if len(found) > 0 && found[0].Subject == "keypaird-fleet" { // it is not beside a test
			found = found[1:]
		}
		return text(t, found)
	}
	if got := check(); got != "" {
		t.Errorf("%s", got)
	}
	for _, tt := range []struct {
		name string
		make func()
		want string
	}{
		{"two members, and no identity", func() {
			data, err := os.ReadFile(m.file)
			if err != nil {
				t.Fatal(err)
			}
			two := strings.Replace(string(data), `["http://127.0.0.1:2379"]`, `["https://10.0.0.1:2379", "https://10.0.0.2:2379"]`, 1)
			if err := os.WriteFile(m.file, []byte(two), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "warning fleet fleet.engine: an engine of two members is away when one of them is: it is worse than one\n        remedy: have one member, or three\n" +
			"warning fleet fleet.tls: the engine does not know which node this is, so that it lets everybody in\n" +
			"        remedy: set cert and key in tls, or password_file; keypaird fleet init -print-etcdctl prints the rights\n"},
		{"exchanging the key", func() { m.configure(lines); m.must("key -rotate") },
			"warning fleet mx1: the exchange of this node's key is not complete\n        remedy: put this line in place of the one below [fleet.nodes] on every node, and reload keypaird there\n"},
		{"another key", func() { try(t, os.Remove(envelope.Path(m.state))); m.must("key") },
			"failed  fleet mx1: [fleet.nodes] has another key for this node, \"mx1\"\n        remedy: put the line that keypaird fleet key prints here into [fleet.nodes] on every node\n"},
		{"no key", func() { try(t, os.Remove(envelope.Path(m.state))) }, "failed  fleet mx1: this node has no key yet: "},
		{"open key", func() { m.must("key"); try(t, os.Chmod(envelope.Path(m.state), 0o644)) }, "can be used by others (mode 0644)"},
	} {
		tt.make()
		if got := check(); !strings.Contains(got, tt.want) {
			t.Errorf("%s:\n%s\nwant:\n%s", tt.name, got, tt.want)
		}
	}
}

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestCheckEngine(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	year := now.AddDate(1, 0, 0)
	member := func(n int) wire.Endpoint {
		return wire.Endpoint{URL: fmt.Sprintf("https://10.0.0.%d:2379", n), Version: "3.4.23", NotAfter: year, Size: 1 << 20, Quota: 2 << 30}
	}
	away := func(n int) wire.Endpoint {
		return wire.Endpoint{URL: fmt.Sprintf("https://10.0.0.%d:2379", n), Error: "connection refused", Remedy: "start etcd"}
	}
	large, ending, full := member(1), member(1), member(1)
	large.Size, ending.NotAfter, full.Alarms = 3<<29, now.AddDate(0, 0, 9), []string{"NOSPACE"}
	for _, tt := range []struct {
		name  string
		state wire.State
		want  string // of each finding a part, with | between
	}{
		{"one member", wire.State{Members: 1, NotAfter: year, Endpoints: []wire.Endpoint{member(1)}}, "ok      fleet 10.0.0.1:2379: etcd 3.4.23 answers"},
		{"two members", wire.State{Members: 2, Endpoints: []wire.Endpoint{member(1)}, Others: []string{"https://10.0.0.2:2379"}}, "worse than one|has another member, https://10.0.0.2:2379|answers"},
		{"one of three away", wire.State{Members: 3, Endpoints: []wire.Endpoint{member(1), away(2), member(3)}}, "answers|warning fleet 10.0.0.2:2379: connection refused|answers"},
		{"two of three away", wire.State{Members: 3, Endpoints: []wire.Endpoint{member(1), away(2), away(3)}}, "answers|failed  fleet 10.0.0.2|failed  fleet 10.0.0.3"},
		{"the only one away", wire.State{Endpoints: []wire.Endpoint{away(1)}}, "failed  fleet 10.0.0.1:2379: connection refused"},
		{"large", wire.State{Members: 1, Endpoints: []wire.Endpoint{large}}, "1536 MiB of the 2048 MiB"},
		{"no space", wire.State{Members: 1, Endpoints: []wire.Endpoint{full}}, "failed  fleet 10.0.0.1:2379: it has the alarm NOSPACE"},
		{"certificates end", wire.State{Members: 1, NotAfter: now, Endpoints: []wire.Endpoint{ending}}, "this node's certificate for the engine ends on 2026-11-29|its certificate ends on 2026-12-08"},
	} {
		found := checkEngine(&tt.state, now)
		want := strings.Split(tt.want, "|")
		if len(found) != len(want) {
			t.Errorf("%s:\n%s", tt.name, text(t, found))
			continue
		}
		for i, f := range found {
			if got := text(t, preflight.Findings{f}); !strings.Contains(got, want[i]) || f.Result != preflight.Good && f.Remedy == "" {
				t.Errorf("%s: %s, want %s", tt.name, got, want[i])
			}
		}
	}
}
