package memory

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew/fleet/engine"
)

var set = []engine.Op{{Key: "a", Value: []byte("1")}}

func TestFaults(t *testing.T) {
	ctx := t.Context()
	s := New()
	c, other := s.Client("one"), s.Client("two")
	value := func() string {
		t.Helper()
		snapshot, err := other.Read(ctx, "a")
		if err != nil || len(snapshot.Entries) == 0 {
			return ""
		}
		return string(snapshot.Entries[0].Value)
	}

	c.Set(Faults{Unreachable: true})
	if _, err := c.Commit(ctx, nil, set); err != ErrUnreachable || value() != "" {
		t.Errorf("unreachable: %v", err)
	}
	c.Set(Faults{Fail: LoseAnswers(1)})
	if _, err := c.Commit(ctx, nil, set); err != ErrUnreachable || value() != "1" {
		t.Errorf("lost answer: %v, has %q", err, value())
	}
	if _, err := c.Commit(ctx, nil, []engine.Op{{Key: "a", Value: []byte("2")}}); err != nil {
		t.Errorf("after one lost answer: %v", err)
	}
	s.Set(Faults{ReadOnly: true})
	if _, err := c.Commit(ctx, nil, set); err != ErrReadOnly || value() != "2" {
		t.Errorf("read only: %v", err)
	}
	s.Set(Faults{})

	backup := s.Backup()
	_, _ = c.Commit(ctx, nil, set)
	newest := s.Revision()
	s.Restore(backup)
	if value() != "2" || s.Revision() >= newest {
		t.Errorf("restored: %q at %d", value(), s.Revision())
	}
	for _, err := range c.Follow(ctx, []string{""}, newest) {
		if !errors.Is(err, engine.ErrGap) {
			t.Errorf("follow after a restore: %v", err)
		}
	}
	s.Restore(Backup{})
	if value() != "" {
		t.Error("not emptied")
	}
}

func TestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New()
		c := s.Client("one")
		c.Set(Faults{Late: time.Minute})
		if _, err := c.Commit(t.Context(), nil, set); err != ErrUnreachable || s.Revision() != 1 {
			t.Errorf("late: %v at %d", err, s.Revision())
		}
		time.Sleep(2 * time.Minute)
		if s.Revision() != 2 {
			t.Error("a late commit did not happen")
		}

		c.Set(Faults{Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Read(ctx, ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("hang: %v", err)
		}

		c.Set(Faults{})
		lease, err := c.Lease(t.Context(), 30*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Commit(t.Context(), nil, []engine.Op{{Key: "seat", Value: []byte("one"), Lease: lease.ID()}})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if age := time.Since(lease.Renewed()); age > 10*time.Second {
			t.Errorf("renewed %v ago", age)
		}
		began := time.Now()
		c.Set(Faults{Hang: true})
		<-lease.Lost()
		if d := time.Since(began); d < 20*time.Second || d > 30*time.Second {
			t.Errorf("lost after %v", d)
		}
		time.Sleep(11 * time.Second)
		if snapshot, _ := s.Client("two").Read(t.Context(), "seat"); len(snapshot.Entries) != 0 {
			t.Error("the key outlived its lease")
		}

		c.Set(Faults{})
		lease, _ = c.Lease(t.Context(), 30*time.Second)
		s.Set(Faults{Unreachable: true})
		time.Sleep(time.Hour)
		s.Set(Faults{})
		s.mu.Lock()
		kept := s.state.leases[lease.ID()]
		s.mu.Unlock()
		if kept == nil {
			t.Error("a lease ended while the server was down")
		}
	})
}

func TestKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New()
		c := s.Client("one")
		lease, err := c.Lease(t.Context(), 30*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Commit(t.Context(), nil, []engine.Op{{Key: "seat", Value: []byte("one"), Lease: lease.ID()}})
		c.Kill()
		<-lease.Lost()
		revision := s.Revision()
		if _, err := c.Read(t.Context(), ""); err != ErrUnreachable {
			t.Error(err)
		}
		began := time.Now()
		for change, err := range s.Client("two").Follow(t.Context(), []string{"seat"}, revision) {
			if err != nil || change.Value != nil || time.Since(began) != 30*time.Second {
				t.Errorf("change %v after %v: %v", change, time.Since(began), err)
			}
			break
		}
	})
}
