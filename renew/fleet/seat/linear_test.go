package seat

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"

	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/engine/memory"
)

// An op is what a node does with the seat and with one release: take the seat, lose it,
// write a release in a term, read both.
type op struct {
	what  string
	term  int // from 1; 0: none sits
	value string
}

// A state is what the engine has; as the output of an op, what a read found, and whether
// the op succeeded.
type state struct {
	term    int
	value   string
	ok      bool
	unknown bool // whether it succeeded
}

// model says what a seat and a release have to look like to all nodes, as if all were done
// one after the other.
var model = porcupine.Model{
	Init: func() any { return state{} },
	Step: func(s, in, out any) (bool, any) {
		is, o, result := s.(state), in.(op), out.(state)
		switch o.what {
		case "take":
			taken := state{term: o.term, value: is.value}
			switch {
			case result.unknown && is.term == 0:
				return true, taken
			case result.unknown, !result.ok:
				return result.unknown || is.term != 0, is
			}
			return is.term == 0, taken
		case "end":
			if is.term == o.term {
				is.term = 0
			}
			return true, is
		case "write":
			written := state{term: is.term, value: o.value}
			switch {
			case result.unknown && is.term == o.term:
				return true, written
			case result.unknown, !result.ok:
				return result.unknown || is.term != o.term, is
			}
			return is.term == o.term, written
		}
		return is == state{term: result.term, value: result.value}, is
	},
}

// A history notes ops with the order in which they began and ended.
type history struct {
	clock atomic.Int64
	mu    sync.Mutex
	ops   []porcupine.Operation
	terms []*Term
}

// begin notes when an op begins; what it returns notes when it ends and returns what
// notes its result. One whose result is not known may have happened at any time after it
// began, or never.
func (h *history) begin(client int, o op) func() func(result state, known bool) {
	call := h.clock.Add(1)
	return func() func(state, bool) {
		end := h.clock.Add(1)
		return func(result state, known bool) {
			if !known {
				end, result.unknown = math.MaxInt64, true
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: o, Call: call, Output: result, Return: end})
		}
	}
}

// term returns the number of a term, or that of the term that has a value of the seat.
func (h *history) term(value []byte) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return 1 + slices.IndexFunc(h.terms, func(t *Term) bool { return t.Owns(value) })
}

// sit takes the seat, writes a few releases and gives it back, or is killed.
func (h *history) sit(ctx context.Context, client int, e engine.Engine, c *memory.Client, random *rand.Rand) {
	lease, err := e.Lease(ctx, 30*time.Second)
	if err != nil {
		return
	}
	t := &Term{}
	h.mu.Lock()
	h.terms = append(h.terms, t)
	number := len(h.terms)
	h.mu.Unlock()
	done := h.begin(client, op{what: "take", term: number})
	taken, _, err := Take(ctx, e, lease, fmt.Sprint("n", client), nil, func(error) {}, func(error) {})
	_, refused := errors.AsType[*engine.ConditionError](err)
	h.mu.Lock()
	h.terms[number-1] = taken
	h.mu.Unlock()
	done()(state{ok: err == nil}, err == nil || refused)
	ended := h.begin(client, op{what: "end", term: number})
	for i := range 1 + random.IntN(6) {
		if err != nil {
			break
		}
		value := fmt.Sprint(number, ".", i)
		done := h.begin(client, op{what: "write", term: number, value: value})
		err := taken.Commit(ctx, engine.Op{Key: "live/x", Value: []byte(value)})
		lost := errors.Is(err, ErrLost) && !errors.Is(err, memory.ErrUnreachable) && !errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil
		done()(state{ok: err == nil}, err == nil || lost)
		time.Sleep(time.Duration(random.IntN(3000)) * time.Millisecond)
	}
	if random.IntN(4) == 0 || lease.End(ctx) != nil {
		c.Kill()
		time.Sleep(31 * time.Second)
	}
	if !refused {
		ended()(state{}, true)
	}
}

// run lets nodes take the seat in turn for a while, with faults of all kinds, and returns
// what they did.
func run(t *testing.T, seed uint64, wrap func(engine.Engine) engine.Engine) []porcupine.Operation {
	h := &history{}
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		var running, later sync.WaitGroup
		for client := range 3 {
			random := rand.New(rand.NewPCG(seed, uint64(client)))
			running.Go(func() {
				for ctx.Err() == nil {
					c := s.Client(fmt.Sprint(client))
					faults := []memory.Faults{
						{}, {}, {Delay: time.Second}, {Fail: memory.LoseAnswers(1 + random.IntN(3))}, {Late: time.Duration(random.IntN(60)) * time.Second},
						{Hang: true}, {Unreachable: true},
					}[random.IntN(7)]
					timer := time.AfterFunc(time.Duration(random.IntN(2000))*time.Millisecond, func() { c.Set(faults) })
					over := time.AfterFunc(time.Duration(3+random.IntN(60))*time.Second, func() { c.Set(memory.Faults{}) })
					h.sit(ctx, client, wrap(c), c, random)
					timer.Stop()
					over.Stop()
					time.Sleep(time.Duration(random.IntN(2000)) * time.Millisecond)
				}
			})
		}
		running.Go(func() {
			for ctx.Err() == nil {
				done := h.begin(3, op{what: "read"})
				snapshot, err := s.Client("reader").Read(ctx, "")
				if noted := done(); err == nil {
					var seat []byte
					found := state{}
					for _, e := range snapshot.Entries {
						switch {
						case e.Key == document.SeatKey:
							seat = e.Value
						case strings.HasPrefix(e.Key, "live/"):
							found.value = string(e.Value)
						}
					}
					// Terms are known only when Take has returned.
					later.Go(func() {
						time.Sleep(time.Minute)
						found.term = h.term(seat)
						noted(found, true)
					})
				}
				time.Sleep(700 * time.Millisecond)
			}
		})
		running.Wait()
		later.Wait()
	})
	return h.ops
}

// What nodes see of the seat and of a release is as if all had been done one after the
// other: commits of a term happen once, in it, and none of a term after it.
func TestLinearizable(t *testing.T) {
	for seed := range uint64(10) {
		ops := run(t, seed, func(e engine.Engine) engine.Engine { return e })
		if result := porcupine.CheckOperationsTimeout(model, ops, 20*time.Second); result != porcupine.Ok {
			t.Errorf("seed %d: %d operations: %v", seed, len(ops), result)
		}
	}
}

// unfenced is an engine in which the seat is no condition, but to take it.
type unfenced struct{ engine.Engine }

func (u unfenced) Commit(ctx context.Context, conditions []engine.Condition, do []engine.Op) (engine.Revision, error) {
	if do[0].Key != document.SeatKey {
		conditions = nil
	}
	return u.Engine.Commit(ctx, conditions, do)
}

func TestNotLinearizableWithoutFence(t *testing.T) {
	for seed := range uint64(10) {
		ops := run(t, seed, func(e engine.Engine) engine.Engine { return unfenced{e} })
		if porcupine.CheckOperationsTimeout(model, ops, 20*time.Second) == porcupine.Illegal {
			return
		}
	}
	t.Error("the fence is not needed")
}
