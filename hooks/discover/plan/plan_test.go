package plan

import (
	"context"
	"errors"
	"testing"

	"keypaird/hooks/discover"
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
