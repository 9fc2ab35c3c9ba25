package dns01

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"keypaird/renew/problem"
)

func TestBINDRefuses(t *testing.T) {
	b := startBIND(t)
	wrong := filepath.Join(b.dir, "wrong.key")
	if err := os.WriteFile(wrong, []byte(keyFile("host", mailSecret)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		env    map[string]string // on top
		domain string
		err    string
		remedy string
	}{
		{"wrong secret", map[string]string{"RFC2136_TSIG_FILE": wrong}, "example.org",
			`refuses the TSIG key "host": its secret is wrong (BADSIG)`, "make the key's name, algorithm and secret the same"},
		{"unknown key", map[string]string{"RFC2136_TSIG_FILE": "", "RFC2136_TSIG_KEY": "nobody", "RFC2136_TSIG_SECRET": hostSecret}, "example.org",
			`refuses the TSIG key "nobody": it takes no such key with hmac-sha1 for this (BADKEY)`, "make the key's name, algorithm and secret the same"},
		{"a name the key may not change", nil, "mail.example.org",
			"answers REFUSED to an update of TXT _acme-challenge.mail.example.org. in zone example.org.",
			"update-policy { grant host. name _acme-challenge.mail.example.org. TXT; };"},
		{"not signed", map[string]string{"RFC2136_TSIG_FILE": ""}, "example.org", "answers REFUSED", "the update is not signed"},
		{"a zone it does not have", nil, "example.com", "cannot find out whether _acme-challenge.example.com. is a CNAME", "make the resolvers answer"},
		{"no such key file", map[string]string{"RFC2136_TSIG_FILE": "/nonexistent/key"}, "example.org",
			`DNS account "host" (rfc2136): opening _acme-challenge.example.org.: RFC2136_TSIG_FILE: open /nonexistent/key`, "tsig-keygen"},
		{"secret mistyped", map[string]string{"RFC2136_TSIG_FILE": "", "RFC2136_TSIG_KEY": "host", "RFC2136_TSIG_SECRET": "geheim!"}, "example.org",
			"the TSIG secret is not base64", "key file"},
		{"no server there", map[string]string{"RFC2136_NAMESERVER": freePort(t)}, "example.org", "no answer from 127.0.0.1:", "check RFC2136_NAMESERVER"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := b.account(t, "host")
			for name, value := range tt.env {
				a.Env[name] = value
			}
			before := b.txt(t, "_acme-challenge.example.org.")
			err := a.Solve(t.Context(), challenge(tt.domain, "token"), func(context.Context) error {
				t.Error("the CA was asked")
				return nil
			})
			if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("Solve = %v, want %q", err, tt.err)
			}
			if got := problem.Remedy(err); !strings.Contains(got, tt.remedy) {
				t.Errorf("remedy %q, want %q", got, tt.remedy)
			}
			if strings.Contains(err.Error(), "geheim") || strings.Contains(err.Error(), hostSecret) {
				t.Errorf("%v contains the secret", err)
			}
			if err := a.Close(t.Context()); err != nil {
				t.Errorf("Close = %v", err)
			}
			if after := b.txt(t, "_acme-challenge.example.org."); after != before {
				t.Errorf("after: %q, before: %q", after, before)
			}
		})
	}
}

// The child is killed while the CA validates: another one removes its record.
func TestBINDChildKilled(t *testing.T) {
	b := startBIND(t)
	a := b.account(t, "host")
	err := a.Solve(t.Context(), challenge("example.org", "token"), func(context.Context) error {
		a.mu.Lock()
		k := a.current
		a.mu.Unlock()
		k.cmd.Signal(syscall.SIGKILL)
		<-k.gone
		if during := b.txt(t, "_acme-challenge.example.org."); !strings.Contains(during, "|") {
			t.Errorf("after the kill: %q", during)
		}
		return nil
	})
	if err != nil {
		t.Errorf("Solve = %v, though the CA was content", err)
	}
	if after := b.txt(t, "_acme-challenge.example.org."); after != "of another host" {
		t.Errorf("after: %q", after)
	}
}

func TestBINDParentKilled(t *testing.T) {
	b := startBIND(t)
	cmd := startParent(t, b.account(t, "host"), "validating")
	if during := b.txt(t, "_acme-challenge.example.org."); !strings.Contains(during, "|") {
		t.Fatalf("before the kill: %q", during)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the child to clean up", func() bool {
		return b.txt(t, "_acme-challenge.example.org.") == "of another host"
	})
}

// SIGTERM reaches the daemon during the propagation wait, or systemd sends it
// to both.
func TestBINDStopped(t *testing.T) {
	b := startBIND(t)
	for _, tt := range []struct {
		name string
		stop func(k *child, cancel context.CancelFunc)
	}{
		{"the daemon", func(_ *child, cancel context.CancelFunc) { cancel() }},
		{"the daemon and the child", func(k *child, cancel context.CancelFunc) {
			k.cmd.Signal(syscall.SIGTERM)
			cancel()
		}},
		{"the child, then the daemon", func(k *child, cancel context.CancelFunc) {
			k.cmd.Signal(syscall.SIGTERM)
			<-k.gone
			cancel()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := b.account(t, "host")
			never := &nameServer{authoritative: true}
			never.set(t, "example.org. 60 IN SOA ns. h. 1 3600 600 86400 60")
			// Two resolvers, of which one never shows the record.
			a.Resolvers = []string{b.addr, serve(t, never, "127.0.0.1", "")}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var begun time.Time
			go func() {
				for never.questions() == 0 {
					<-time.After(time.Millisecond)
				}
				a.mu.Lock()
				k := a.current
				a.mu.Unlock()
				begun = time.Now()
				tt.stop(k, cancel)
			}()
			err := a.Solve(ctx, challenge("example.org", "token"), func(context.Context) error { return nil })
			if took := time.Since(begun); !errors.Is(err, context.Canceled) || took > 20*time.Second {
				t.Errorf("Solve = %v after %v, want an end before long", err, took)
			}
			if err := a.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if after := b.txt(t, "_acme-challenge.example.org."); after != "of another host" {
				t.Errorf("after: %q", after)
			}
		})
	}
}
