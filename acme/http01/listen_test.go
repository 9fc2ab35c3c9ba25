package http01

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"keypaird/acme/responder"
	"keypaird/renew/problem"
	"keypaird/renew/testutil"
)

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
