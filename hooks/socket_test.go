package hooks

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keypaird/renew"
	"keypaird/renew/problem"
)

// What a socket may answer that is not what haproxy answers.
func TestHaproxySocketMisbehaves(t *testing.T) {
	p := good(t, plain)
	created := "Transaction created for certificate x!\n\n"
	for _, tt := range []struct {
		name    string
		answers map[string]string // by the first word of the command
		want    string
	}{
		{"refuses the commit", map[string]string{"set": created, "commit": "Inconsistencies between private key and certificate\n", "abort": "ok"}, "Inconsistencies"},
		{"refuses to set", map[string]string{"set": "Can't allocate memory\x1b[2J\n"}, "Can't allocate memory"},
		{"says nothing to the commit", map[string]string{"set": created, "abort": "ok"}, "does not answer"},
		{"goes on for ever", map[string]string{"set": "..."}, "answers without end"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := safeDir(t)
			ln, err := net.Listen("unix", filepath.Join(dir, "s"))
			if err != nil {
				t.Fatal(err)
			}
			var said []string
			done := make(chan struct{})
			go func() {
				defer close(done)
				for {
					conn, err := ln.Accept()
					if err != nil {
						return
					}
					if s := answer(conn, tt.answers); !strings.HasPrefix(s, "show proc") {
						said = append(said, s)
					}
					conn.Close()
				}
			}()
			d := Deployment{Name: "haproxy", Combined: dir + "/{name}.pem", Socket: dir + "/s", Timeout: 300 * time.Millisecond}
			e := failure(t, d.deploy(t.Context(), []renew.Change{{Name: plain, New: p}}), StepReload)
			ln.Close()
			<-done
			if !strings.Contains(e.Error(), tt.want) || strings.ContainsAny(e.Error(), "\x1b\n") {
				t.Errorf("error = %q, want %q", e, tt.want)
			}
			if len(said) > 1 && said[len(said)-1] != "abort ssl cert "+dir+"/"+plain+".pem\n" {
				t.Errorf("the last command was %q, want abort", said[len(said)-1])
			}
			if payload := strings.TrimSuffix(said[0], "\n\n"); strings.Contains(payload, "\n\n") || !strings.HasSuffix(said[0], "-----END CERTIFICATE-----\n\n") {
				t.Errorf("payload with empty lines, or not ended by one: %q", said[0])
			}
		})
	}
}

// answer reads one command and answers it, or waits for the other side to
// give up.
func answer(conn net.Conn, answers map[string]string) string {
	buf := make([]byte, 1<<20)
	n := 0
	for {
		m, err := conn.Read(buf[n:])
		n += m
		got := string(buf[:n])
		if err != nil || !strings.Contains(got, "<<") && strings.HasSuffix(got, "\n") || strings.HasSuffix(got, "\n\n") {
			break
		}
	}
	word, _, _ := strings.Cut(string(buf[:n]), " ")
	switch a := answers[word]; {
	case a == "" && word == "show":
		io.WriteString(conn, "Unknown command\n")
	case a == "":
		io.Copy(io.Discard, conn)
	case a == "...":
		for {
			if _, err := io.WriteString(conn, strings.Repeat(a, 1000)); err != nil {
				break
			}
		}
	default:
		io.WriteString(conn, a)
	}
	return string(buf[:n])
}

func TestSocketsThatAreNotUsed(t *testing.T) {
	open := safeDir(t)
	ln, err := net.Listen("unix", filepath.Join(open, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	write(t, filepath.Join(open, "file"), "")
	os.Chmod(open, 0o777)
	for _, tt := range []struct{ name, path, want string }{
		{"no such socket", filepath.Join(open, "none"), "is haproxy running?"},
		{"a file", filepath.Join(open, "file"), "is not a socket"},
		{"where everybody can put one", filepath.Join(open, "s"), "every user can write"},
	} {
		if err := safeSocket(tt.path); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	d := Deployment{Socket: filepath.Join(open, "s")}
	err = d.update(t.Context(), "/etc/a b.pem", nil)
	if problem.Remedy(err) == "" {
		t.Errorf("a path with a space: %v", err)
	}
}

// A haproxy that is not there, or that hangs, is waited for once at most; the error
// says which it is.
func TestNoHaproxyAtTheSocket(t *testing.T) {
	for _, tt := range []struct {
		name         string
		listen       func(path string) (stop func())
		want, remedy string
		timeout      time.Duration
	}{
		{"stopped", func(path string) func() {
			ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
			if err != nil {
				t.Fatal(err)
			}
			ln.SetUnlinkOnClose(false) // haproxy leaves its socket behind
			ln.Close()
			return func() {}
		}, "nothing listens at S: is haproxy running?", "start haproxy", time.Hour},
		{"no socket", func(string) func() { return func() {} }, "nothing listens at S: is haproxy running?", "start haproxy", time.Hour},
		{"hangs", func(path string) func() {
			ln, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			return func() { ln.Close() }
		}, "S does not answer", "why it hangs", 4 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := safeDir(t)
			path := filepath.Join(dir, "s")
			defer tt.listen(path)()
			old := good(t, plain)
			write(t, dir+"/"+plain+".pem", string(old.Combined()))
			d := Deployment{Name: "haproxy", Combined: dir + "/{name}.pem", Socket: path, Timeout: tt.timeout}
			began := time.Now()
			e := failure(t, d.deploy(t.Context(), []renew.Change{{Name: plain, New: good(t, plain), Previous: old}}), StepReload)
			if took := time.Since(began); took > tt.timeout*19/10 {
				t.Errorf("took %s", took)
			}
			if want := strings.ReplaceAll(tt.want, "S", path); !strings.Contains(e.Error(), want) || !strings.Contains(e.Remedy(), tt.remedy) {
				t.Errorf("error = %q, remedy %q\nwant %q, %q", e, e.Remedy(), want, tt.remedy)
			}
		})
	}
}
