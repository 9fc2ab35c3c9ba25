package hooks

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func FuzzClean(f *testing.F) {
	for _, s := range []string{"a\nb\n", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x1b\x1b[[31mm", "\u202eevil", "\xff", "a\r\nb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s)
		for _, r := range got {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Errorf("clean(%q) = %q has %U", s, got, r)
			}
		}
		if clean(got) != got {
			t.Errorf("clean(%q) = %q, and again %q", s, got, clean(got))
		}
		for _, l := range []string{lastLine(got), oneLine(s)} {
			if len(l) > maxLine || strings.Contains(l, "\n") || !utf8.ValidString(l) {
				t.Errorf("line of %q = %q", s, l)
			}
		}
	})
}
