package http01

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/acme/responder"
	"keypaird/renew/problem"
	"keypaird/renew/testutil"
)

// A pipeListener hands out one end of a pipe.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { close(l.done); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func TestSlowPeersAreCut(t *testing.T) {
	for _, tt := range []struct {
		name string
		peer func(c net.Conn) // does what it does until the connection ends
	}{
		{"says nothing", func(c net.Conn) { io.Copy(io.Discard, c) }},
		{"a byte a second", func(c net.Conn) {
			for _, b := range []byte("GET " + Path + token + " HTTP/1.1\r\nHost: a.test\r\n" + strings.Repeat("X: y\r\n", 100)) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}},
		{"never reads the answer", func(c net.Conn) {
			io.WriteString(c, "GET "+Path+token+" HTTP/1.1\r\nHost: a.test\r\n\r\n")
			time.Sleep(15 * time.Second)
			if _, err := bufio.NewReader(c).ReadString('\n'); err == nil {
				time.Sleep(time.Hour)
			}
		}},
		{"never ends its body", func(c net.Conn) {
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000\r\n\r\n")
			io.Copy(io.Discard, c)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := tokens(t)
			synctest.Test(t, func(t *testing.T) {
				srv, l := NewServer(dir), &pipeListener{make(chan net.Conn), make(chan struct{})}
				served := make(chan error, 1)
				go func() { served <- srv.Serve(l) }()
				ours, theirs := net.Pipe()
				l.conns <- ours
				began := time.Now()
				tt.peer(theirs)
				if took := time.Since(began); took > 20*time.Second {
					t.Errorf("cut after %v", took)
				}
				theirs.Close()
				srv.Close()
				<-served
			})
		})
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	s, addr := newSolver(t)
	must(t, s.Solve(t.Context(), challenge, func(ctx context.Context) error {
		var idle []net.Conn
		defer func() {
			for _, c := range idle {
				c.Close()
			}
		}()
		for range maxConns {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				return err
			}
			idle = append(idle, c)
		}
		short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		if served(addr)(short) == nil {
			return fmt.Errorf("more than %d connections are served at once", maxConns)
		}
		for _, c := range idle[:2] {
			c.Close()
		}
		return served(addr)(ctx)
	}))
}

// TestMain is also the program that is started with sockets passed to it.
func TestMain(m *testing.M) {
	if os.Getenv("HTTP01_TEST_ACTIVATED") == "" {
		os.Exit(testutil.Run(m))
	}
	if err := activated(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// activated solves a challenge by the socket named http, twice, with garbage
// collections in between.
func activated() error {
	s := &Solver{Dir: os.Getenv("HTTP01_TEST_DIR"), Listen: "fd:http", Log: slog.New(slog.DiscardHandler)}
	for range 2 {
		err := s.Solve(context.Background(), challenge, func(ctx context.Context) error {
			runtime.GC()
			if exec.Command("sh", "-c", ": <&4").Run() == nil {
				return errors.New("a command that we run holds the socket")
			}
			return served(os.Getenv("HTTP01_TEST_ADDR"))(ctx)
		})
		if err != nil {
			return err
		}
		s.Close()
		runtime.GC()
		runtime.GC()
	}
	s = &Solver{Dir: s.Dir, Listen: "fd:https", Log: s.Log}
	err := s.Solve(context.Background(), challenge, func(context.Context) error { return nil })
	if !errors.Is(err, responder.ErrNoSocket) || !strings.Contains(err.Error(), `LISTEN_FDNAMES="unused:http"`) || !strings.Contains(problem.Remedy(err), "FileDescriptorName=https") {
		return fmt.Errorf("error = %v, want ErrNoSocket", err)
	}
	return nil
}

func TestSocketActivation(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	must(t, err)
	defer socket.Close()
	null, err := os.Open(os.DevNull)
	must(t, err)
	defer null.Close()
	exe, err := os.Executable()
	must(t, err)
	// The shell gives the program its process id.
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `LISTEN_PID=$$ exec "$0"`, exe)
	cmd.ExtraFiles = []*os.File{null, socket}
	cmd.Env = append(os.Environ(), "HTTP01_TEST_ACTIVATED=1", "HTTP01_TEST_DIR="+t.TempDir()+"/http-01",
		"HTTP01_TEST_ADDR="+l.Addr().String(), "LISTEN_FDS=2", "LISTEN_FDNAMES=unused:http")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
