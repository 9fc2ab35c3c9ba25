package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// A serviceManager is told how the daemon is, if it listens (sd_notify(3)).
type serviceManager struct {
	log  *slog.Logger
	beat atomic.Int64 // when the loop was last seen to go round, by the clock that stands still in suspend
	born time.Time
}

func newServiceManager(log *slog.Logger) *serviceManager {
	m := &serviceManager{log: log, born: time.Now()}
	m.alive()
	return m
}

// tell sends assignments; nobody may be there to hear them.
func (m *serviceManager) tell(assignments ...string) {
	var text string
	for _, a := range assignments {
		text += a + "\n"
	}
	if err := notify(text); err != nil {
		m.log.Debug("service manager not told", "err", err)
	}
}

func (m *serviceManager) ready(status string) { m.tell("READY=1", "STATUS="+status) }

// reloading begins what ready ends.
func (m *serviceManager) reloading() {
	m.tell("RELOADING=1\n" + monotonic() + "STATUS=reading the configuration")
}

// alive notes that the loop goes round.
func (m *serviceManager) alive() { m.beat.Store(int64(time.Since(m.born))) }

// lively is how long the loop may take to go round once: it does so twice a
// minute.
const lively = 2 * time.Minute

// watchdog tells the manager that all is well, as often as that wants, until ctx
// ends or the loop does not go round any more.
func (m *serviceManager) watchdog(ctx context.Context) {
	interval, err := watchdogInterval()
	if err != nil {
		m.log.Warn("no watchdog", "err", err)
	}
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

// daemonLogger logs with the time, unless the journal reads us and notes it.
func (a *app) daemonLogger(level slog.Level) *slog.Logger {
	if journaled(a.stderr, a.env("JOURNAL_STREAM")) {
		return a.logger(level)
	}
	return slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
}

// journaled reports whether w is what $JOURNAL_STREAM says (systemd.exec(5)).
func journaled(w io.Writer, stream string) bool {
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
