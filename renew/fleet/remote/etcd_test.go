package remote

import (
	"syscall"
	"testing"
	"time"

	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/engine/enginetest"
	"keypaird/renew/fleet/engine/etcdtest"
	"keypaird/renew/testutil"
)

// harness is that of a cluster whose users are those of a fleet.
func harness(c *etcdtest.Cluster) enginetest.Harness {
	settings := c.Settings("mx1")
	return enginetest.Harness{
		Client: func(t *testing.T) engine.Engine {
			e, _ := begin(t, with(settings), &testutil.Log{})
			return e
		},
		TTL:     3 * time.Second,
		Compact: func(t *testing.T, r engine.Revision) { c.Compact(int64(r)) },
		Kill: func(t *testing.T, e engine.Engine) {
			running(t, e).cmd.Signal(syscall.SIGKILL)
		},
		Hang: func(*testing.T) func() {
			for _, m := range c.Members {
				m.Freeze()
			}
			return func() {
				for _, m := range c.Members {
					m.Thaw()
				}
			}
		},
	}
}

func TestConformance(t *testing.T) {
	c := etcdtest.Start(t, etcdtest.Options{Users: true})
	c.AddUser("mx1", true)
	h := harness(c)
	h.Backup = func(*testing.T) func() {
		path := c.Backup()
		return func() { c.Restore(path) }
	}
	enginetest.Run(t, h)
}
