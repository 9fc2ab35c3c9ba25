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

	"keypaird/cmd/keypaird/config/tomltext"
	"keypaird/cmd/keypaird/output"
)

// A serviceManager receives the state of the daemon, if it listens (sd_notify(3)).
type serviceManager struct {
	log     *slog.Logger
	send    func(text string) error
	beat    atomic.Int64 // when the loop last called alive, since started: monotonic, as this clock stands still in suspend
	started time.Time
}

func newServiceManager(log *slog.Logger, send func(text string) error) *serviceManager {
	m := &serviceManager{log: log, send: send, started: time.Now()}
	m.alive()
	return m
}

// maxAssignment is how many characters of one assignment are sent.
const maxAssignment = 1000

// notify sends assignments, if a service manager listens.
func (m *serviceManager) notify(assignments ...string) {
	var text strings.Builder
	for _, a := range assignments {
		fmt.Fprintln(&text, tomltext.Printable(a, maxAssignment))
	}
	if err := m.send(text.String()); err != nil {
		m.log.Debug("service manager not notified", "err", err)
	}
}

func (m *serviceManager) ready(status string) { m.notify("READY=1", "STATUS="+status) }

// reloading reports the start of a reload, which ready ends.
func (m *serviceManager) reloading() {
	m.notify("RELOADING=1", strings.TrimSpace(monotonic()), "STATUS=reading the configuration")
}

// alive records that the loop runs.
func (m *serviceManager) alive() { m.beat.Store(int64(time.Since(m.started))) }

// loopTimeout is the longest time between two calls of alive: the loop makes one
// every minute at least.
const loopTimeout = 2 * time.Minute

// watchdog sends a keep-alive within each interval until ctx ends, as long as the
// loop calls alive.
func (m *serviceManager) watchdog(ctx context.Context, interval time.Duration) {
	if interval <= 0 {
		return
	}
	ticker := time.NewTicker(max(interval/3, time.Millisecond))
	defer ticker.Stop()
	for {
		if time.Since(m.started)-time.Duration(m.beat.Load()) < loopTimeout {
			m.notify("WATCHDOG=1")
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// NewLog returns the log of a daemon. It has no times where the journal adds them: stream
// is $JOURNAL_STREAM.
func NewLog(stderr io.Writer, stream string, verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	if journaled(output.File(stderr), stream) {
		return output.Logger(stderr, level)
	}
	return slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
}

// journaled reports whether file, which may be nil, is the stream named by $JOURNAL_STREAM (systemd.exec(5)).
func journaled(file *os.File, stream string) bool {
	if file == nil || stream == "" {
		return false
	}
	info, err := file.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}
