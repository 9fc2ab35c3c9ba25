package hooks

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// What a server says last may say nothing.
func TestLastLine(t *testing.T) {
	for _, tt := range []struct{ name, output, want string }{
		{"nginx", "2026/11/24 00:07:10 [emerg] 1#1: SSL_CTX_use_certificate(\"/w.crt\") failed (ee key too small)\nnginx: configuration file /n.conf test failed", "2026/11/24 00:07:10 [emerg] 1#1: SSL_CTX_use_certificate(\"/w.crt\") failed (ee key too small)"},
		{"haproxy", "[ALERT] (1) : config : parsing [h.cfg:3] : unable to load\n[ALERT] (1) : config : Error(s) found in configuration file : h.cfg\n[ALERT] (1) : config : Fatal errors found in configuration.", "[ALERT] (1) : config : parsing [h.cfg:3] : unable to load"},
		{"apachectl", "AH00534: apache2: Configuration error: No MPM loaded.\nAction 'configtest' failed.\nThe Apache error log may have more information.", "AH00534: apache2: Configuration error: No MPM loaded."},
		{"nothing but that", "nginx: configuration file /n.conf test failed", "nginx: configuration file /n.conf test failed"},
		{"nothing", "", ""},
	} {
		if got := lastLine(tt.output); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

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
