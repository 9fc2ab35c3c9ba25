package hooks

import (
	"syscall"
	"testing"

	"keypaird/renew"
	"keypaird/renew/durable"
)

// A directory that cannot be synced does not keep the previous pair from being
// in place again, and in use.
func TestBackButNotDurable(t *testing.T) {
	t.Parallel()
	const secondTime = `[ "$KEYPAIRD_EVENT" = rollback ]`
	undurable := &durable.WriteError{Path: "/d", Done: true, Err: syscall.EIO}
	full := &durable.WriteError{Path: "/d/live", Err: syscall.ENOSPC}
	for _, tt := range []struct {
		name          string
		check, reload string
		first, second error // of restoring two targets
		step          string
		back          bool
	}{
		{"before the reload", "exit 1", "exit 0", undurable, nil, StepCheck, true},
		{"after the reload", "exit 0", secondTime, nil, undurable, StepReload, true},
		{"not back, before the reload", "exit 1", "exit 0", full, nil, StepCheck, false},
		{"not back, after the reload", "exit 0", secondTime, nil, full, StepReload, false},
		{"some are not back", "exit 0", secondTime, undurable, full, StepReload, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := Deployment{Name: "proxy", Check: []string{script(t, tt.check)}, Reload: []string{script(t, tt.reload)}}
			change := func(name string, err error) renew.Change {
				return renew.Change{Name: name, New: good(t, name), Previous: good(t, name), Restore: func() error { return err }}
			}
			e := failure(t, d.deploy(t.Context(), []renew.Change{change(plain, tt.first), change(host, tt.second)}), tt.step)
			want := tt.first
			if tt.second != nil {
				want = tt.second
			}
			if e.RolledBack != tt.back || e.RollbackErr != want {
				t.Errorf("RolledBack %v, RollbackErr %v, want %v and %v", e.RolledBack, e.RollbackErr, tt.back, want)
			}
		})
	}
}
