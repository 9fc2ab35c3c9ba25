package command

import (
	"testing"
)

// Commands that reload a server say in many ways that it does not run.
func TestStopped(t *testing.T) {
	for _, output := range []string{
		`nginx: [error] invalid PID number "" in "/run/nginx.pid"`,
		"haproxy.service is not active, cannot reload.",
		"httpd not running, trying to start",
		"postfix/postfix-script: fatal: the Postfix mail system is not running",
		"Fatal: Dovecot is not running (read from /run/dovecot/master.pid)",
		"Prosody is not running",
		"relayctl: connect: /var/run/relayd.sock: No such file or directory",
		"kill: (4711) - No such process",
		"nginx is not currently running",
	} {
		if e := (&Error{Program: "x", Err: errStays, Output: "before\n" + output}); !stopped(output) || e.Remedy() != "the server does not run: start it, and see in its log why it ended, then: keypaird issue" {
			t.Errorf("%q does not say that the server does not run: %s", output, e.Remedy())
		}
	}
	for _, output := range []string{"", "no such proxy", "reload failed: syntax error", "now running"} {
		if stopped(output) {
			t.Errorf("%q says that the server does not run", output)
		}
	}
}

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
