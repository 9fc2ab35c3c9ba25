package textfmt

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestOneLine(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		limit      int
		want       string
	}{
		{"plain", "no such proxy", 0, "no such proxy"},
		{"several lines", " one\r\n\ttwo\u2028three \n", 0, "one two three"},
		{"colours", "\x1b[1;31mred\x1b[0m, \x1b]0;title\x07plain", 0, "red, plain"},
		{"half an escape sequence", "a\x1b[", 0, "a\uFFFD["},
		{"a title without end", "a\x1b]0;b c", 0, "a\uFFFD]0;b c"},
		{"C1 control", "a\u009b31m", 0, "a\uFFFD31m"},
		{"reversed", "a\u202ebc", 0, "a\uFFFDbc"},
		{"invisible", "exa\u200dmple", 0, "exa\uFFFDmple"},
		{"not UTF-8", "a\xff\xfe\x00b", 0, "a\uFFFDb"},
		{"as long as allowed", "grün", 5, "grün"},
		{"too long", "grüner", 6, "gr…"},
		{"cut at a space", "ab cd ef", 6, "ab…"},
		{"no room for the mark", "abcd", 2, ""},
	} {
		if got := OneLine(tt.text, tt.limit); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestLines(t *testing.T) {
	if got, want := Lines("one\r\n\n \x1b[1mtwo\x1b[0m\x00\n"), "one\ntwo\uFFFD"; got != want {
		t.Errorf("Lines = %q, want %q", got, want)
	}
}

func TestWrap(t *testing.T) {
	for _, tt := range []struct {
		name, lead, text string
		want             string
	}{
		{"fits", "note: ", "short", "note: short\n"},
		{"two lines", "note: ", "as wide as twenty columns", "note: as wide as\n  twenty columns\n"},
		{"characters, not bytes", "", "ääääääääää äääääääää x", "ääääääääää äääääääää\n  x\n"},
		{"a long word", "x ", "https://www.example.org/long y", "x https://www.example.org/long\n  y\n"},
		{"a lead of two lines", "head of the matter\n  ", "one two three four", "head of the matter\n  one two three four\n"},
		{"nothing", "note: ", "", "note:\n"},
	} {
		if got := Wrap(tt.lead, tt.text, 20, 2); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func FuzzOneLine(f *testing.F) {
	for _, s := range []string{"a\nb\n", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x1b\x1b[[31mm", "\u202eevil", "\xff", "a\r\nb", strings.Repeat("é", 100)} {
		f.Add(s, 10)
	}
	f.Fuzz(func(t *testing.T, s string, limit int) {
		unfit := func(r rune) bool { return !unicode.IsPrint(r) }
		got := OneLine(s, limit)
		switch {
		case strings.ContainsFunc(got, unfit), !utf8.ValidString(got):
			t.Errorf("OneLine(%q, %d) = %q is not printable", s, limit, got)
		case limit > 0 && len(got) > limit, strings.TrimSpace(got) != got, strings.Contains(got, "  "):
			t.Errorf("OneLine(%q, %d) = %q", s, limit, got)
		case OneLine(got, limit) != got:
			t.Errorf("OneLine(%q) = %q, and again %q", s, got, OneLine(got, limit))
		}
		for line := range strings.SplitSeq(Lines(s), "\n") {
			if strings.ContainsFunc(line, unfit) || OneLine(line, 0) != line {
				t.Errorf("Lines(%q) has %q", s, line)
			}
		}
	})
}

func TestPrintable(t *testing.T) {
	if got, want := Printable("a  b\n\u202ec\u00a0d\u2028e\x1b[m\u200bf\xff"), "a  b\n\uFFFDc d e\uFFFD[m\uFFFDf\uFFFD"; got != want {
		t.Errorf("Printable = %q, want %q", got, want)
	}
}

// A program reads the text as it is; no character reaches a terminal that it obeys.
func TestJSON(t *testing.T) {
	type document struct{ Text string }
	want := document{"a\u202eb\u2066\u200b\u2028\x7f\u009b\ufeff\U000e0041 grün € 漢 \U0001f600"}
	text, err := JSON(want)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range string(text) {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("%q has %U", text, r)
		}
	}
	if !strings.Contains(string(text), "grün € 漢 \U0001f600") {
		t.Errorf("%q does not show what can be printed", text)
	}
	var got document
	if err := json.Unmarshal(text, &got); err != nil || got != want {
		t.Errorf("read back: %q, %v, want %q", got, err, want)
	}
}
