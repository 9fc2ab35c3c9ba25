package acme_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"keypaird/acme/acmetest"
)

// A client that waits for the registration by another can be interrupted alone.
func TestInterruptWhileAnotherRegisters(t *testing.T) {
	asked := make(chan struct{}, 64)
	g := newFixture(t, acmetest.Options{Wrap: acmetest.Instead(acmetest.PathNewAccount, -1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		acmetest.Stall().ServeHTTP(w, r)
	}))})
	c := g.client(t)
	slow, stop := context.WithCancel(t.Context())
	registered := make(chan error, 1)
	go func() {
		_, err := c.Account(slow)
		registered <- err
	}()
	<-asked
	quick, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Account(quick); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want context canceled", err)
	}
	stop()
	if err := <-registered; !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want context canceled", err)
	}
}
