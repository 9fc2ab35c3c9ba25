package textfmt

import (
	"strings"
	"testing"
	"time"
)

func TestWriter(t *testing.T) {
	w := &Writer{Width: 20}
	w.Line(1, "%s of several words", "a line")
	w.Item("  must  ", "an item of several words")
	w.Verbatim(2, "{\n  \"a\":  \"\u202eb\x1b\"\n\n}\n")
	w.List("not there", nil)
	w.List("list", []string{"one\x1b[31m\nline", strings.Repeat("x", maxText+1)})
	const want = ` a line of several
   words
  must  an item of
        several
        words
  {
    "a":  "\u202eb\x1b"

  }

list
  - one line
  - `
	if got := w.String(); !strings.HasPrefix(got, want) || len(got) != len(want)+maxText+1 {
		t.Errorf("%d bytes:\n%s", len(got), got)
	}
	var b strings.Builder
	if n, err := w.WriteTo(&b); err != nil || int(n) != b.Len() || b.String() != w.String() {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second + 1: "1s", 90 * time.Second: "1m30s", time.Hour: "1h", 66 * time.Minute: "1h6m",
		time.Hour + time.Second: "1h0m1s", 48 * time.Hour: "48h", 10 * time.Minute: "10m",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
