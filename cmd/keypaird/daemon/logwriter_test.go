package daemon

import (
	"bufio"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"
)

// The reader of the log stops, and its pipe is full: what logs goes on, and so does the
// end of the daemon. When the reader goes on, it gets the lines in order, and how many
// were dropped.
func TestReaderOfLogStops(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	l := NewLogWriter(w)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		l.Run(stop)
	}()
	const lines = 5000
	log := slog.New(slog.NewTextHandler(l, nil))
	began := time.Now()
	for i := range lines {
		log.Info("line", "n", i, "text", strings.Repeat("x", 200))
	}
	l.Flush()
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("logging took %s", took)
	}
	// The reader goes on.
	next, dropped := 0, 0
	for s := bufio.NewScanner(r); next+dropped < lines && s.Scan(); {
		if _, count, ok := strings.Cut(s.Text(), `msg="log lines dropped" count=`); ok {
			fmt.Sscan(count, &dropped)
		} else if !strings.Contains(s.Text(), fmt.Sprintf("n=%d ", next)) {
			t.Fatalf("line %d is %s", next, s.Text())
		} else {
			next++
		}
	}
	if dropped == 0 || next < maxLogLines || next+dropped != lines {
		t.Errorf("%d lines read and %d dropped, want %d together", next, dropped, lines)
	}
	log.Info("read again")
	go func() { log.Info("last"); l.Flush(); close(stop); <-ended; w.Close() }()
	var rest []string
	for s := bufio.NewScanner(r); s.Scan(); {
		rest = append(rest, s.Text())
	}
	if len(rest) != 2 {
		t.Errorf("after that: %q", rest)
	}
}
