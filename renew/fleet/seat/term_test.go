package seat

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/engine/memory"
	"keypaird/renew/problem"
)

func set(key, value string) engine.Op { return engine.Op{Key: key, Value: []byte(value)} }

// take returns the term of a node, and its connection.
func take(t *testing.T, s *memory.Server, node string) (*Term, *memory.Client) {
	t.Helper()
	c := s.Client(node)
	lease, err := c.Lease(t.Context(), 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	term, there, err := Take(t.Context(), c, lease, node, nil, func(error) {}, func(error) {})
	if err != nil || there.Revision != s.Revision() {
		t.Fatal(there, err)
	}
	t.Cleanup(func() {
		c.Set(memory.Faults{Unreachable: true})
		_ = lease.End(context.WithoutCancel(t.Context()))
	})
	return term, c
}

func value(t *testing.T, s *memory.Server, key string) string {
	t.Helper()
	e, err := engine.ReadKey(t.Context(), s.Client("observer"), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(e.Value)
}

func TestFence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		a, ca := take(t, s, "a")
		if err := a.Commit(t.Context(), set("x", "a1")); err != nil || value(t, s, "x") != "a1" {
			t.Fatal(err)
		}
		if _, _, err := Take(t.Context(), s.Client("b"), a.lease, "b", nil, func(error) {}, func(error) {}); err == nil {
			t.Fatal("two nodes took the seat")
		}
		ca.Set(memory.Faults{Hang: true})
		time.Sleep(31 * time.Second)
		b, _ := take(t, s, "b")
		if err := b.Commit(t.Context(), set("x", "b1")); err != nil {
			t.Fatal(err)
		}
		ca.Set(memory.Faults{})
		err := a.Commit(t.Context(), set("x", "a2"))
		if !errors.Is(err, ErrLost) || problem.Remedy(err) == "" || value(t, s, "x") != "b1" {
			t.Errorf("Commit of the node before: %v; x is %q", err, value(t, s, "x"))
		}
		if !errors.Is(a.Good(), ErrLost) {
			t.Errorf("Good = %v", a.Good())
		}
		<-a.Over()
	})
}

// A node that takes the seat after the engine was restored can come to the same revision
// as the one before, but not to the same value.
func TestFenceAfterRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		empty := s.Backup()
		a, _ := take(t, s, "a")
		at := s.Revision()
		s.Restore(empty)
		_, _ = take(t, s, "a")
		if s.Revision() != at {
			t.Fatalf("revision %d, before %d", s.Revision(), at)
		}
		if err := a.Commit(t.Context(), set("x", "1")); err == nil || value(t, s, "x") != "" {
			t.Errorf("Commit in the term before: %v", err)
		}
	})
}

// Good goes by the last keep-alive that was confirmed.
func TestGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		a, c := take(t, s, "a")
		time.Sleep(time.Hour)
		if err := a.Good(); err != nil {
			t.Fatal(err)
		}
		c.Set(memory.Faults{Hang: true})
		bad := 0
		for range 30 {
			if err := a.Good(); err != nil {
				bad++
				if problem.Remedy(err) == "" {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Second)
		}
		if bad < 10 || bad > 20 {
			t.Errorf("not good for %d of 30 seconds", bad)
		}
	})
}

// Whatever becomes of the answers, a commit that succeeds happened, one that fails did not
// happen or cannot happen after the next one, and a value never comes back.
func TestUnclearCommits(t *testing.T) {
	for _, tt := range []struct {
		name   string
		faults memory.Faults
		after  time.Duration // when the fault is over
		err    bool
		want   string
	}{
		{"answer lost", memory.Faults{Fail: memory.LoseAnswers(1)}, time.Hour, false, "2"},
		{"answers lost", memory.Faults{Fail: memory.LoseAnswers(3)}, time.Hour, false, "2"},
		{"request lost", memory.Faults{Unreachable: true}, time.Millisecond, true, "1"},
		{"hangs for a moment", memory.Faults{Hang: true}, 8 * time.Second, false, "2"},
		{"slow", memory.Faults{Delay: 4 * time.Second}, time.Hour, false, "2"},
		{"happens later", memory.Faults{Late: 5 * time.Second}, time.Second, true, "1"},
		{"read only", memory.Faults{ReadOnly: true}, time.Millisecond, true, "1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memory.New()
				a, c := take(t, s, "a")
				if err := a.Commit(t.Context(), set("x", "1")); err != nil {
					t.Fatal(err)
				}
				c.Set(tt.faults)
				timer := time.AfterFunc(tt.after, func() { c.Set(memory.Faults{}) })
				defer timer.Stop()
				err := a.Commit(t.Context(), set("x", "2"))
				time.Sleep(3 * time.Second)
				timer.Stop()
				c.Set(memory.Faults{})
				if (err != nil) != tt.err || value(t, s, "x") != tt.want {
					t.Errorf("Commit: %v; x is %q, want %q", err, value(t, s, "x"), tt.want)
				}
				if err := a.Commit(t.Context(), set("x", "3"), engine.Op{Key: "y"}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Second)
				if got := value(t, s, "x"); got != "3" {
					t.Errorf("x became %q again", got)
				}
				if node, _, _ := document.ParseSeat([]byte(value(t, s, document.SeatKey))); node != "a" {
					t.Errorf("in the seat is %q", node)
				}
				if err := a.Good(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A commit that happens late, after the one that was made instead of it.
func TestLateCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		a, c := take(t, s, "a")
		c.Set(memory.Faults{Late: time.Minute})
		if err := a.Commit(t.Context(), set("x", "1")); err == nil {
			t.Fatal("it cannot know")
		}
		c.Set(memory.Faults{})
		for i := range 3 {
			if err := a.Commit(t.Context(), set("x", fmt.Sprint(2+i))); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Minute)
		if got := value(t, s, "x"); got != "4" {
			t.Errorf("x = %q", got)
		}
	})
}

// Many commits at once, while answers are lost, all happen in one term.
func TestConcurrentCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		a, c := take(t, s, "a")
		n := 0
		c.Set(memory.Faults{Delay: 10 * time.Millisecond, Fail: func(call memory.Call) error {
			if n++; call.Method == "Commit" && call.Done && n%7 == 0 {
				return memory.ErrUnreachable
			}
			return nil
		}})
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				for j := range 10 {
					for {
						err := a.Commit(t.Context(), set(fmt.Sprint("k", i), fmt.Sprint(j)))
						if err == nil {
							break
						}
						if a.Good() != nil {
							t.Error(err)
							return
						}
					}
				}
			})
		}
		wg.Wait()
		for i := range 50 {
			if got := value(t, s, fmt.Sprint("k", i)); got != "9" {
				t.Errorf("k%d = %q", i, got)
			}
		}
	})
}

// An answer that is lost when the seat is taken.
func TestTakeUnclear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		c := s.Client("a")
		c.Set(memory.Faults{Fail: memory.LoseAnswers(1)})
		lease, err := c.Lease(t.Context(), 30*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		term, _, err := Take(t.Context(), c, lease, "a", nil, func(error) {}, func(error) {})
		if err != nil || term.Commit(t.Context(), set("x", "1")) != nil {
			t.Fatal(err)
		}
		_ = lease.End(t.Context())
		if value(t, s, document.SeatKey) != "" {
			t.Error("the seat is not vacant")
		}
	})
}
