package memory

import (
	"testing"
	"time"

	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/engine/enginetest"
)

func TestConformance(t *testing.T) {
	s := New()
	enginetest.Run(t, enginetest.Harness{
		Client:  func(*testing.T) engine.Engine { return s.Client("test") },
		TTL:     300 * time.Millisecond,
		Compact: func(_ *testing.T, r engine.Revision) { s.Compact(r) },
		Backup: func(*testing.T) func() {
			b := s.Backup()
			return func() { s.Restore(b) }
		},
		Kill:       func(_ *testing.T, e engine.Engine) { e.(*Client).Kill() },
		LoseAnswer: func(_ *testing.T, e engine.Engine) { e.(*Client).Set(Faults{Fail: LoseAnswers(1)}) },
		Hang: func(*testing.T) func() {
			s.Set(Faults{Hang: true})
			return func() { s.Set(Faults{}) }
		},
	})
}
