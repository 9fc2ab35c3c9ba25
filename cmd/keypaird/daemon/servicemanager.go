package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"keypaird/cmd/keypaird/config"
)

// A serviceManager is told how the daemon is, if it listens (sd_notify(3)).
type serviceManager struct {
	log  *slog.Logger
	send func(text string) error
	beat atomic.Int64 // when the loop was last seen to go round, by the clock that stands still in suspend
	born time.Time
}

func newServiceManager(log *slog.Logger) *serviceManager {
	m := &serviceManager{log: log, send: sdNotify, born: time.Now()}
	m.alive()
	return m
}

// maxAssignment is how many characters of one assignment are sent.
const maxAssignment = 1000

// tell sends assignments; nobody may be there to hear them.
func (m *serviceManager) tell(assignments ...string) {
	var text strings.Builder
	for _, a := range assignments {
		fmt.Fprintln(&text, config.Printable(a, maxAssignment))
	}
	if err := m.send(text.String()); err != nil {
		m.log.Debug("service manager not told", "err", err)
	}
}

func (m *serviceManager) ready(status string) { m.tell("READY=1", "STATUS="+status) }

// reloading begins what ready ends.
func (m *serviceManager) reloading() {
	m.tell("RELOADING=1", strings.TrimSpace(monotonic()), "STATUS=reading the configuration")
}

// alive notes that the loop goes round.
func (m *serviceManager) alive() { m.beat.Store(int64(time.Since(m.born))) }

// lively is how long the loop may take to go round once: it does so twice a
// minute.
const lively = 2 * time.Minute

// watchdog tells the manager, which wants to hear of us within an interval, that
// all is well, until ctx ends. It is silent while the loop does not go round.
func (m *serviceManager) watchdog(ctx context.Context, interval time.Duration) {
	if interval <= 0 {
		return
	}
	ticker := time.NewTicker(max(interval/3, time.Millisecond))
	defer ticker.Stop()
	for {
		if time.Since(m.born)-time.Duration(m.beat.Load()) < lively {
			m.tell("WATCHDOG=1")
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Journaled reports whether w is what $JOURNAL_STREAM says (systemd.exec(5)).
func Journaled(w io.Writer, stream string) bool {
	file, ok := w.(*os.File)
	if !ok || stream == "" {
		return false
	}
	info, err := file.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}
