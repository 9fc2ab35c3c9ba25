package command

import (
	"testing"
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
