package engine

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keypaird/cmd/keypaird/config"
	"keypaird/renew/notify"
)

// In an incident there are more names than a variable holds.
func TestManyNotices(t *testing.T) {
	told := filepath.Join(t.TempDir(), "told")
	e := &Engine{Config: &config.Config{Notify: config.Notify{Command: []string{"/bin/sh", "-c", "echo $KEYPAIRD_NAMES | wc -w >>" + told}}}, options: Options{Log: slog.New(slog.DiscardHandler)}}
	var notices []notify.Notice
	for i := range 3000 {
		notices = append(notices, notify.Notice{Kind: notify.Failing, Target: fmt.Sprintf("%060d.example.org", i), Error: "x"})
	}
	if err := e.Send(t.Context(), notices); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(told)
	sum := 0
	for _, field := range strings.Fields(string(text)) {
		n := 0
		fmt.Sscan(field, &n)
		sum += n
	}
	if err != nil || sum != len(notices) {
		t.Errorf("told of %d names, %v: %q", sum, err, text)
	}
}
