package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"keypaird/cmd/keypaird/engine"
	"keypaird/renew"
	"keypaird/renew/durable"
	"keypaird/renew/status"
)

// What is wanted on another node is one pass over those targets, in its mode.
func TestIssue(t *testing.T) {
	d := newIdler(t, "")
	d.runPass(t.Context(), nil) // fails, so that the daemon itself waits from here on
	type answer struct {
		results status.Results
		err     error
	}
	ask := func(ctx context.Context) <-chan answer {
		answered := make(chan answer, 1)
		go func() {
			results, err := d.issue(ctx, []string{"mail"}, true, false)
			answered <- answer{results, err}
		}()
		return answered
	}
	answered := ask(t.Context())
	due := <-d.requested
	if fmt.Sprint(due) != "map[mail:true]" {
		t.Errorf("requested: %v", due)
	}
	d.runPass(t.Context(), due)
	select {
	case a := <-answered:
		if a.err != nil || len(a.results) != 1 || a.results[0].OK || a.results[0].Error == "" {
			t.Errorf("%+v", a)
		}
	case <-time.After(time.Minute):
		t.Fatal("no answer")
	}
	if strings.Count(d.out.String(), "action=issue") != 2 || d.pass.Mode != renew.Scheduled {
		t.Errorf("mode %v after that:\n%s", d.pass.Mode, d.out)
	}
	was := strings.Count(d.out.String(), "action=issue")
	gone, cancel := context.WithCancel(t.Context())
	answered = ask(gone)
	due = <-d.requested
	cancel()
	<-answered
	d.runPass(t.Context(), due)
	if n := strings.Count(d.out.String(), "action=issue"); n != was {
		t.Errorf("what nobody waits for was ordered:\n%s", d.out)
	}
}

// The keys of accounts are replaced in place of a pass.
func TestRollover(t *testing.T) {
	d := newIdler(t, "")
	d.runPass(t.Context(), nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		results, err := d.rollover(t.Context(), []string{"down"})
		if err != nil || len(results) != 1 || results[0].Target != "down" || results[0].OK || results[0].Error == "" || results[0].Why != "" {
			t.Errorf("%+v, %v", results, err)
		}
	}()
	due := <-d.requested
	if due == nil || len(due) > 0 {
		t.Errorf("requested: %v", due)
	}
	d.runPass(t.Context(), due)
	<-done
}

// A caller that no longer waits gets none of the results, even while keys are replaced.
func TestRolloverGivenUp(t *testing.T) {
	d := newIdler(t, "")
	ca, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ca.Close()
	data, err := os.ReadFile(d.config)
	if err == nil {
		data = bytes.ReplaceAll(data, []byte("127.0.0.1:1/"), []byte(ca.Addr().String()+"/"))
		err = os.WriteFile(d.config, data, 0o600)
	}
	g, loadErr := d.load(t.Context())
	if err != nil || loadErr != nil {
		t.Fatal(err, loadErr)
	}
	d.apply(t.Context(), g)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { // the CA, which does not answer
		for {
			conn, err := ca.Accept()
			if err != nil {
				return
			}
			cancel()
			conn.Close()
		}
	}()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if results, err := d.rollover(ctx, []string{"down"}); !errors.Is(err, context.Canceled) || results != nil {
			t.Errorf("%+v, %v", results, err)
		}
	}()
	d.runPass(t.Context(), <-d.requested)
	<-done
}

// What nobody waits for any more is not done, also if the lock was held when it was asked for.
func TestRequestBehindLock(t *testing.T) {
	d := newIdler(t, "")
	d.runPass(t.Context(), nil)
	was := strings.Count(d.out.String(), "action=issue")
	changed := false
	change := &passRequest{change: func(context.Context, *engine.Engine) error { changed = true; return nil }}
	for _, ask := range []func(context.Context){
		func(ctx context.Context) { _, _ = d.requestAndWait(ctx, []string{}, change) },
		func(ctx context.Context) { _, _ = d.issue(ctx, []string{"mail"}, true, false) },
	} {
		lock, err := durable.TryLock(d.current.engine.LockPath())
		if err != nil {
			t.Fatal(err)
		}
		waits := strings.Count(d.out.String(), "waiting for another keypaird")
		limited, cancel := context.WithCancel(t.Context())
		asked, passed := make(chan struct{}), make(chan struct{})
		go func() { defer close(asked); ask(limited) }()
		due := <-d.requested
		go func() { defer close(passed); d.runPass(t.Context(), due) }()
		for strings.Count(d.out.String(), "waiting for another keypaird") == waits {
			time.Sleep(time.Millisecond)
		}
		cancel()
		<-asked
		lock.Release()
		<-passed
		if n := strings.Count(d.out.String(), "action=issue"); n != was || changed || len(d.passRequests) > 0 {
			t.Errorf("changed %v, left %d:\n%s", changed, len(d.passRequests), d.out)
		}
	}
}
