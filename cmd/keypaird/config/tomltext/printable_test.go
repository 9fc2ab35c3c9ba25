package tomltext

import (
	"strings"
	"testing"
)

// What a hostile file can have us print.
func TestPrintable(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "/etc/ssl/bücher.pem", "/etc/ssl/bücher.pem"},
		{"escape sequence", "a\x1b[31mb", `a\x1b[31mb`},
		{"escape sequence of one character", "a\u009b31mb", `a\u009b31mb`},
		{"second line", "a\nkeypaird: all is well", `a\nkeypaird: all is well`},
		{"right to left", "a\u202eb", `a\u202eb`},
		{"invisible", "a\u200bb", `a\u200bb`},
		{"not UTF-8", "a\xffb", "a\ufffdb"},
		{"long", strings.Repeat("ü", 20), strings.Repeat("ü", 10) + "..."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := 1000
			if tt.name == "long" {
				n = 10
			}
			if got := Printable(tt.in, n); got != tt.want {
				t.Errorf("printable(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}
