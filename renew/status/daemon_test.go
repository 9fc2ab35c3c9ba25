package status

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// Who looks at the status is told in one line whether somebody works, and nothing
// is promised that nobody does. Having no daemon is no trouble: cron may do.
func TestDaemonIsTold(t *testing.T) {
	s := readSchema(t)
	if got := s.Defs["Daemon"].Properties["state"].Enum; !slices.Equal(got, []string{Running, Killed, Stopped, Never}) {
		t.Errorf("states of a daemon: %q", got)
	}
	since := now.Add(-time.Hour)
	for _, tt := range []struct {
		daemon Daemon
		want   string
	}{
		{Daemon{Running, 3243, since}, "no action required, keypaird works on 1 of 2\ndaemon: process 3243 since 2026-03-01 11:00Z\n"},
		{Daemon{Killed, 3243, since}, "no action required, the next keypaird issue works on 1 of 2\ndaemon: not running (process 3243 of 2026-03-01 11:00Z was killed)\n"},
		{Daemon{State: Stopped}, "no action required, the next keypaird issue works on 1 of 2\ndaemon: stopped; start keypaird run, or issue from cron\n"},
		{Daemon{State: Never}, "no action required, the next keypaird issue works on 1 of 2\ndaemon: none has run; start keypaird run, or issue from cron\n"},
	} {
		doc := Document{Time: now, Healthy: true, Daemon: &tt.daemon, Targets: []Target{
			{Name: "a", Names: []Name{}, SignWith: []string{}, State: OK}, {Name: "b", Names: []Name{}, SignWith: []string{}, State: Due},
		}}
		var text bytes.Buffer
		must(t, doc.WriteText(&text))
		if got, _, _ := strings.Cut(text.String(), "\nTARGET"); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.daemon.State, got, tt.want)
		}
		conforms(t, s, doc)
	}
}

func conforms(t *testing.T, s *schema, doc Document) {
	t.Helper()
	data, err := json.Marshal(doc)
	must(t, err)
	var v any
	must(t, json.Unmarshal(data, &v))
	for _, wrong := range s.check(s, "document", v) {
		t.Error(wrong)
	}
}

// A configuration that the daemon refused is told of wherever it shows itself,
// in one line, and is no reason to take the machine out of service.
func TestRefusalIsShown(t *testing.T) {
	doc := newDesk(t).document()
	before := get(t, serving(doc), "/")
	doc.Refused = &Refusal{Since: now, Error: "2 mistakes, see: <keypaird> check\n\x1b[2J"}
	conforms(t, readSchema(t), doc)
	page := get(t, serving(doc), "/")
	const want = "The configuration on disk is not in use since 2026-03-01 12:00 UTC: 2 mistakes, see: &lt;keypaird&gt; check"
	if n := strings.Count(page, want); n != 1 || strings.Contains(before, "configuration on disk") {
		t.Errorf("it is %d times on the page", n)
	}
	if i, j := strings.Index(page, want), strings.Index(page, "<main"); i > j {
		t.Error("it is not at the top")
	}
	if !strings.Contains(get(t, serving(doc), "/status.json"), `"refused": {`) {
		t.Error("/status.json does not know")
	}
	fine := Document{Time: now, Healthy: true, Targets: []Target{}, Refused: doc.Refused}
	if got := get(t, serving(fine), "/healthz"); got != "ok\n" {
		t.Errorf("/healthz says %q", got)
	}
	m := busyMetrics()
	for _, ok := range []bool{false, true} {
		m.Configured(ok)
		if got := scrape(t, m); strings.Contains(got, "\nkeypaird_configuration_ok 1\n") != ok {
			t.Errorf("configured %t: the gauge says something else", ok)
		}
	}
}
