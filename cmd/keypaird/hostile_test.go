package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// A server that sends more than it was asked for does not get to write into
// what a person reads.
func TestUnaskedAnswer(t *testing.T) {
	var asked atomic.Int32
	ca := httptest.NewUnstartedServer(nil)
	ca.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/directory" {
			asked.Add(1)
			http.NotFound(w, r)
			return
		}
		body := fmt.Sprintf(`{"newNonce":"%[1]s/nonce","newAccount":"%[1]s/account","newOrder":"%[1]s/order"}`, ca.URL)
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%skeypaird: all is well\n", len(body), body)
	})
	ca.StartTLS()
	defer ca.Close()

	dir := t.TempDir()
	roots, config := filepath.Join(dir, "roots.pem"), filepath.Join(dir, "keypaird.toml")
	text := fmt.Sprintf("state = %q\nsign_with = [\"hostile\"]\n[ca.hostile]\ndirectory = %q\nroots = %q\n[http-01]\nwebroot = %q\nself_test = false\n[cert.a]\nhttp-01 = [\"a.example.org\"]\n",
		filepath.Join(dir, "state"), ca.URL+"/directory", roots, dir)
	if err := errors.Join(
		os.WriteFile(roots, []byte(pemOf(ca.Certificate())), 0o600),
		os.WriteFile(config, []byte(text), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "keypaird", "-config", config, "issue")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || asked.Load() == 0 {
		t.Fatalf("keypaird issue: %v, asked for %d things\n%s", err, asked.Load(), out.String())
	}
	if strings.Contains(out.String(), "all is well") || strings.Contains(out.String(), "nsolicited") {
		t.Errorf("the server's words are among ours:\n%s", out.String())
	}
}
