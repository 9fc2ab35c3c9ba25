package listener

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/acme"
	"keypaird/acme/http01"
	"keypaird/acme/tlsalpn01"
	"keypaird/renew/process"
	"keypaird/renew/status"
	"keypaird/renew/testutil"
)

var must = testutil.Must

const (
	token   = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
	keyAuth = token + ".9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
)

// TestMain is also the listener, what attacks from its place, and a keypaird.
func TestMain(m *testing.M) {
	if len(os.Args) == 1 || strings.HasPrefix(os.Args[1], "-test.") {
		os.Exit(testutil.Run(m))
	}
	var err error
	switch os.Args[1] {
	case Command:
		err = Main()
	case "attack":
		err = attack(os.Args[2:])
	case "keypaird":
		err = serveUntilKilled()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func newProcess(t *testing.T) *Process {
	p := &Process{Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	t.Cleanup(p.Rest)
	return p
}

// socket returns one, which listens on a port of its own.
func socket(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// get returns the status and body of a response.
func get(url string) string {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return fmt.Sprint(resp.StatusCode, " ", string(body), err)
}

func tokenURL(l net.Listener) string { return "http://" + l.Addr().String() + http01.Path + token }

// One process answers all services, and is gone when the last is closed.
func TestServices(t *testing.T) {
	p := newProcess(t)
	challenge := acme.Challenge{Type: acme.HTTP01, Identifier: "a.test", Token: token, KeyAuth: keyAuth}
	web := &http01.Solver{Dir: filepath.Join(t.TempDir(), "http-01"), Listen: socketAddr(t), Log: p.Log, Serve: p.Challenges(HTTP01)}
	alpn := &tlsalpn01.Solver{Dir: filepath.Join(t.TempDir(), "tls-alpn-01"), Listen: socketAddr(t), Log: p.Log, Serve: p.Challenges(TLSALPN01)}
	page := socket(t)
	pages := &status.Server{Collect: func() (status.Document, error) { return status.Document{Healthy: true}, nil }, Log: p.Log}
	shown, err := p.Serve(Service{Kind: Page, Names: []string{"chat.example.org"}}, []net.Listener{page}, pages.Answer)
	must(t, err)
	must(t, web.Solve(t.Context(), challenge, func(context.Context) error {
		if got := get("http://" + web.Listen + http01.Path + token); got != "200 "+keyAuth+"<nil>" {
			t.Errorf("token: %s", got)
		}
		return nil
	}))
	if got := get("http://" + web.Listen + http01.Path + token); got != "404 <nil>" {
		t.Errorf("token that is not live: %s", got)
	}
	must(t, alpn.Solve(t.Context(), challenge, func(context.Context) error {
		conn, err := tls.Dial("tcp", alpn.Listen, &tls.Config{ServerName: "a.test", NextProtos: []string{tlsalpn01.Protocol}, InsecureSkipVerify: true})
		if err != nil {
			return err
		}
		return conn.Close()
	}))
	if got := get("http://" + page.Addr().String() + "/healthz"); got != "200 ok\n<nil>" {
		t.Errorf("page: %s", got)
	}
	pid := p.child.cmd.Pid()
	for _, s := range []io.Closer{shown, closer(web.Close), closer(alpn.Close)} {
		if p.child == nil || p.child.cmd.Pid() != pid {
			t.Error("there is more than one process")
		}
		s.Close()
	}
	if p.child != nil {
		t.Error("the process is still there")
	}
	for _, addr := range []string{web.Listen, alpn.Listen} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Errorf("the port is not free at once: %v", err)
			continue
		}
		l.Close()
	}
}

type closer func()

func (c closer) Close() error { c(); return nil }

func socketAddr(t *testing.T) string {
	t.Helper()
	l := socket(t)
	defer l.Close()
	return l.Addr().String()
}

// When the listener dies clients are not refused, and what was served is served again.
func TestKilled(t *testing.T) {
	p := newProcess(t)
	l := socket(t)
	server, err := p.Serve(Service{Kind: HTTP01}, []net.Listener{l}, func(string) []byte { return []byte(keyAuth) })
	must(t, err)
	defer server.Close()
	for range 3 {
		p.mu.Lock()
		c := p.child
		p.mu.Unlock()
		c.cmd.Signal(syscall.SIGKILL)
		<-c.exited
		if got := get(tokenURL(l)); got != "200 "+keyAuth+"<nil>" {
			t.Errorf("after it was killed: %s", got)
		}
	}
}

// A listener that hangs does not keep keypaird from closing what it serves.
func TestHangs(t *testing.T) {
	p := newProcess(t)
	l := socket(t)
	server, err := p.Serve(Service{Kind: HTTP01}, []net.Listener{l}, func(string) []byte { return nil })
	must(t, err)
	p.child.cmd.Signal(syscall.SIGSTOP)
	began := time.Now()
	server.Close()
	if took := time.Since(began); took > 2*endTimeout+time.Second {
		t.Errorf("closed after %v", took)
	}
}

// An answer that waits for what waits for the end of its service delays neither.
func TestCloseWhileAnswering(t *testing.T) {
	p := newProcess(t)
	l := socket(t)
	asked, release := make(chan struct{}), make(chan struct{})
	server, err := p.Serve(Service{Kind: Page}, []net.Listener{l}, func(string) []byte { close(asked); <-release; return nil })
	must(t, err)
	conn, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	must(t, err)
	<-asked
	began := time.Now()
	server.Close()
	limit := endTimeout / 2
	if testutil.Race { // its run time waits for a second at the end
		limit = 3 * endTimeout
	}
	if took := time.Since(began); took > limit {
		t.Errorf("closed after %v", took)
	}
	close(release)
}

// serveUntilKilled is a keypaird with a listener.
func serveUntilKilled() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	p := &Process{Log: slog.New(slog.DiscardHandler)}
	if _, err := p.Serve(Service{Kind: HTTP01}, []net.Listener{l}, func(string) []byte { return nil }); err != nil {
		return err
	}
	fmt.Println(p.child.cmd.Pid())
	select {}
}

// The listener ends with keypaird, however that ends, and not by signals to the group.
func TestKeypairdIsKilled(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "keypaird")
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	must(t, err)
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		must(t, syscall.Kill(pid, s))
	}
	time.Sleep(50 * time.Millisecond)
	must(t, syscall.Kill(pid, 0))
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	must(t, testutil.Within(5*time.Second, func() error {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && !strings.Contains(string(stat), ") Z ") || err != nil && syscall.Kill(pid, 0) == nil {
			return errors.New("the listener is still there")
		}
		return nil
	}))
}

// A program that is no listener is an error with what it said, not a wait.
func TestNotStarted(t *testing.T) {
	ours, theirs, err := process.SocketPair()
	must(t, err)
	ours.Close()
	theirs.Close()
	if _, _, err := receive(ours); err == nil {
		t.Error("a channel that is closed")
	}
	err = notStarted(fmt.Errorf("x: %w", os.ErrPermission))
	if err.Error() != "starting the listener: x: permission denied" {
		t.Errorf("error = %v", err)
	}
}

// Those who wait together have one answer, and nobody has one from before.
func TestAsker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		a := newAsker(theirs)
		go a.run()
		var asked atomic.Int32
		v := &service{answer: func(q string) []byte {
			time.Sleep(time.Second)
			return fmt.Appendf(nil, "%s %d", q, asked.Add(1))
		}, pace: pace{interval: time.Millisecond, burst: 10}}
		gone := make(chan struct{})
		go v.converse(ours, gone)
		ask := func(want string) {
			if text, err := a.ask(t.Context(), "/"); err != nil || string(text) != want {
				t.Errorf("%q, %v, want %q", text, err, want)
			}
		}
		go ask("/ 1")
		synctest.Wait()
		for range 10 {
			go ask("/ 2")
		}
		synctest.Wait()
		time.Sleep(3 * time.Second)
		ask("/ 3")
		if _, err := a.ask(t.Context(), strings.Repeat("x", 256)); err == nil {
			t.Error("a question that is too long")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		go ask("/ 4")
		synctest.Wait()
		if _, err := a.ask(ctx, "/"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a client that goes away: %v", err)
		}
		time.Sleep(time.Second)
		theirs.Close()
		<-gone
		if _, err := a.ask(t.Context(), "/"); err == nil {
			t.Error("an answer after the end")
		}
	})
}

// What a listener sends costs keypaird a bounded number of answers, and no memory.
func TestHostileQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		var answers atomic.Int32
		v := &service{answer: func(string) []byte { answers.Add(1); return nil }, pace: pace{interval: 50 * time.Millisecond, burst: 20}}
		gone := make(chan struct{})
		go v.converse(ours, gone)
		go io.Copy(io.Discard, theirs)
		deadline := time.Now().Add(10 * time.Second)
		_ = theirs.SetDeadline(deadline)
		for {
			if _, err := theirs.Write([]byte("\x03\x00\xff\xfe\xff")); err != nil {
				break
			}
		}
		if n := answers.Load(); n > 20+200+1 {
			t.Errorf("%d answers in ten seconds", n)
		}
		theirs.Close()
		<-gone
		synctest.Wait()
	})
}

func FuzzAnswer(f *testing.F) {
	dir := f.TempDir() + "/http-01"
	web := &http01.Solver{Dir: dir}
	alpn := &tlsalpn01.Solver{Dir: dir}
	must(f, os.Mkdir(dir, 0o700))
	must(f, os.WriteFile(filepath.Join(dir, token), []byte(keyAuth), 0o600))
	must(f, os.WriteFile(f.TempDir()+"/secret", []byte("x"), 0o600))
	for _, q := range []string{token, "../secret", "", ".", "/etc/passwd", "\x00", "a.test"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, q string) {
		if text, err := web.Token(q); err == nil && (q != token || text != keyAuth) {
			t.Errorf("token %q: %q", q, text)
		}
		if text, err := alpn.Name(q); err == nil {
			t.Errorf("name %q: %q", q, text)
		}
	})
}
