package command

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"keypaird/renew/testutil"
)

// A command that does not end when it is killed does not hold us up. This one is
// traced by a program that stands still: nobody hears of its end before that does.
func TestCommandStays(t *testing.T) {
	t.Parallel()
	strace := testutil.Strace(t)
	file := filepath.Join(safeDir(t), "tracer")
	body := `while read -r key value; do [ "$key" != TracerPid: ] || tracer=$value; done </proc/$$/status
echo $tracer >` + file + `.new; mv ` + file + `.new ` + file + `; while :; do read -r line </proc/self/stat; done`
	c := Command{Argv: []string{strace, "-DDD", "-o", os.DevNull, "/bin/sh", "-c", body}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx, Event{}) }()
	var tracer int
	for end := time.Now().Add(30 * time.Second); tracer == 0; <-time.After(10 * time.Millisecond) {
		text, _ := os.ReadFile(file)
		tracer, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v", err)
		default:
		}
		if time.Now().After(end) {
			t.Fatal("it did not begin")
		}
	}
	if err := syscall.Kill(tracer, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(tracer, syscall.SIGKILL)
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), errStays.Error()) {
			t.Errorf("error = %v, want that it stays", err)
		}
	case <-time.After(killTimeout + 30*time.Second):
		t.Error("it holds us up")
	}
}
