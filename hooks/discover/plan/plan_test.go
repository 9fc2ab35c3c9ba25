package plan

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"keypaird/hooks/discover"
	"keypaird/renew/problem"
)

// The tests that need servers are beside those of package discover, whose servers
// they use. Here are the others.

// An interrupt is not a plan.
func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Make(ctx, &discover.Discoverer{Resolvers: []string{"127.0.0.1:1"}}, "example.org", Goal{To: ToSRV})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
}

// The SRV records of the federation are found by their names, whatever the words of
// the evidence are.
func TestRecords(t *testing.T) {
	p := Plan{Domain: "example.org", Now: discover.Answer{Requirements: []discover.Requirement{{Evidence: []discover.Evidence{
		{What: "the SRV set", SRV: "_matrix._tcp.example.org", State: discover.Found, Lasts: time.Hour},
		{What: "SRV _matrix._tcp.example.org"},
		{What: "another", SRV: "_imaps._tcp.example.org"},
	}}}}}
	if list := p.srvRecords(); len(list) != 1 || list[0].Lasts != time.Hour {
		t.Errorf("records %+v", list)
	}
}

// Where only time is in the way, the remedy keeps the time that was given.
func TestErr(t *testing.T) {
	now := time.Date(2026, 11, 3, 14, 0, 0, 0, time.UTC)
	p := Plan{Domain: "example.org", To: ToSRV, Server: "matrix.example.org:8448", Waits: []Wait{{For: time.Hour}}, Blockers: []string{"time"}, When: now.Add(time.Minute)}
	for _, tt := range []struct {
		name, remedy string
		blockers     int
	}{
		{"only time", "after 2026-11-03 14:01 UTC, ask again: keypaird discover -plan -to srv -server matrix.example.org:8448 -since 2026-11-03T13:01:00Z example.org", 1},
		{"something to do", "when all that is listed is done, since TIME such as 2026-11-03T14:00, ask again: keypaird discover -plan -to srv -server matrix.example.org:8448 -since TIME example.org", 2},
	} {
		p.Blockers = make([]string, tt.blockers)
		err := p.Err(now)
		if got := problem.Remedy(err); got != tt.remedy || !strings.HasPrefix(err.Error(), "example.org: not safe to drop anything: ") {
			t.Errorf("%s: %v: %s", tt.name, err, got)
		}
	}
	p.Safe = true
	if err := p.Err(now); err != nil {
		t.Error(err)
	}
}
