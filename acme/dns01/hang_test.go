package dns01

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"
)

// A challenge that waits for the name of another one that hangs fails at the same time:
// the child cannot exit before it has left.
func TestProviderHangsWithAnotherWaiting(t *testing.T) {
	t.Parallel()
	p := startProvider(t, make(chan struct{}))
	a := p.account(t)
	a.Propagation, a.extra = time.Second, time.Second
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var all sync.WaitGroup
	for _, token := range []string{"apex", "wildcard"} {
		all.Go(func() {
			err := a.Solve(ctx, challenge("example.org", token), accept)
			if err == nil || !strings.Contains(err.Error(), "the provider hangs") {
				t.Errorf("%s: Solve = %v", token, err)
			}
		})
	}
	all.Wait()
	close(p.stall)
	a.Propagation, a.extra = 0, 0
	if err := a.Solve(ctx, challenge("example.org", "again"), accept); err != nil {
		t.Errorf("once the provider is back: %v", err)
	}
	if got, want := p.calls(), "/present /cleanup /present /cleanup"; got != want {
		t.Errorf("the provider was told %s, want %s", got, want)
	}
}
