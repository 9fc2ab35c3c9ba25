package textfmt

import (
	"strings"
	"testing"
)

func TestSet(t *testing.T) {
	narrow := Style{Width: 30}
	for _, tt := range []struct {
		name  string
		style Style
		text  string
		want  string
	}{
		{"as it is", Style{}, strings.Repeat("long ", 30) + "\n", strings.Repeat("long ", 30) + "\n"},
		{"made printable", Style{}, "a\x1b[31m\u202eb\n", "a\ufffd[31m\ufffdb\n"},
		{"made printable at a terminal", Style{Width: 30, Colour: true}, "a\x1b[31m\u202eb\n", "a\ufffd[31m\ufffdb\n"},
		{"it fits", narrow, "a line that fits the terminal.\n", "a line that fits the terminal.\n"},
		{"two further in", narrow, "  a line that fits the terminal.\n", "  a line that fits the\n    terminal.\n"},
		{"deep", narrow, "        an option and what it does\n", "        an option and what it\n        does\n"},
		{"below its last column", narrow, "ok     x  a line that goes on below\n", "ok     x  a line that goes on\n          below\n"},
		{"no room below its last column", narrow, "example.org  ok  2027-02-27  89d  nothing until then\n", "example.org  ok  2027-02-27  89d\n    nothing until then\n"},
		{"below a word", narrow, "warning deploy proxy: nothing answers\n", "warning deploy proxy: nothing\n        answers\n"},
		{"not below a word of a sentence", narrow, "  failed twice, last at noon: no answer\n", "  failed twice, last at noon:\n    no answer\n"},
		{"a far column that is too long", narrow, "                         that is another certificate\n", "      that is another\n      certificate\n"},
		{"a long word", narrow, "see https://example.org/a/very/long/path now\n", "see\n  https://example.org/a/very/long/path\n  now\n"},
		{"to be copied", narrow, "  setup  " + Fixed("install -d -o root -g root -m 0755 /etc/x") + "\n", "  setup  install -d -o root -g root -m 0755 /etc/x\n"},
		{"to be copied, in a file", Style{}, Fixed("a b") + "\n", "a b\n"},
		{"characters, not bytes", narrow, strings.Repeat("ä", 30) + "\n", strings.Repeat("ä", 30) + "\n"},
		{"without an end", narrow, "a line that fits the terminal without an end", "a line that fits the terminal\n  without an end"},
		{"colours", Style{Colour: true}, "ok      ca: ok\nfailed  ca: down\n        remedy: wait\nkeypaird: remedy: wait\nkeypaird: warning: ok\n",
			"\x1b[32mok\x1b[m      ca: ok\n\x1b[31mfailed\x1b[m  ca: down\n        \x1b[36mremedy\x1b[m: wait\nkeypaird: \x1b[36mremedy\x1b[m: wait\nkeypaird: \x1b[33mwarning\x1b[m: ok\n"},
		{"colours in a table", Style{Colour: true}, "TARGET  STATE  VALID UNTIL  LEFT\nokay    ok     missing okra  ok\n", "\x1b[1mTARGET  STATE  VALID UNTIL  LEFT\x1b[m\nokay    \x1b[32mok\x1b[m     missing okra  \x1b[32mok\x1b[m\n"},
		{"colours of a wrapped line", Style{Width: 20, Colour: true}, "failed  no answer ok since\n", "\x1b[31mfailed\x1b[m  no answer ok\n        since\n"},
		{"not wrapped", Style{Colour: true}, "FAIL  " + strings.Repeat("x", 100) + "\n", "\x1b[31mFAIL\x1b[m  " + strings.Repeat("x", 100) + "\n"},
	} {
		if got := tt.style.Set(tt.text); got != tt.want {
			t.Errorf("%s:\n%q\nwant\n%q", tt.name, got, tt.want)
		}
	}
	if got := (Style{}).Alert("keypaird:") + (Style{Colour: true}).Alert("keypaird:"); got != "keypaird:\x1b[31mkeypaird:\x1b[m" {
		t.Errorf("Alert = %q", got)
	}
}

func TestTable(t *testing.T) {
	got := Table([]string{"a", "issued", "1.2 s", "by pebble"}, []string{"example.org", "ok"}, []string{"ä", "", "", "x"}, nil)
	want := "a            issued  1.2 s  by pebble\nexample.org  ok\nä                           x\n\n"
	if got != want {
		t.Errorf("Table =\n%s\nwant\n%s", got, want)
	}
	if Table() != "" {
		t.Error("no rows are a table")
	}
}
