package process

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"keypaird/renew/problem"
	"keypaird/renew/testutil"
)

func TestMain(m *testing.M) { os.Exit(testutil.Run(m)) }

var errRefused = problem.New("it is not configured", "configure it")

// run makes the command of a request, if it runs the shell.
func run(r Request) (*exec.Cmd, error) {
	if len(r.Argv) == 0 || r.Argv[0] == "refused" {
		return nil, errRefused
	}
	return exec.Command(r.Argv[0], r.Argv[1:]...), nil
}

// shell returns a command that runs a script.
func shell(script string) *Cmd { return program("/bin/sh", "-c", script) }

func program(argv ...string) *Cmd {
	r := Request{Argv: argv, Group: true}
	return &Cmd{Request: r, Here: func() (*exec.Cmd, error) { return run(r) }}
}

// both runs a test here and through a runner.
func both(t *testing.T, do func(t *testing.T)) {
	t.Run("here", do)
	t.Run("runner", func(t *testing.T) {
		r, served := serve(t, Server{Make: run})
		Use(r)
		defer Use(nil)
		do(t)
		r.Close()
		<-served
	})
}

// serve starts a runner in this process. The channel is closed when it has ended.
func serve(t *testing.T, s Server) (*Runner, <-chan struct{}) {
	t.Helper()
	r, end, err := Pair()
	testutil.Must(t, err)
	conn, err := UnixConn(end)
	testutil.Must(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		defer conn.Close()
		s.Serve(&Runner{conn})
	}()
	return r, served
}

func TestRun(t *testing.T) {
	both(t, func(t *testing.T) {
		for _, tt := range []struct {
			name, script, out, err string
			code                   int
		}{
			{"success", "echo out; echo err >&2", "out\nerr\n", "", 0},
			{"failure", "exit 7", "", "exit status 7", 7},
			{"signal", "kill -KILL $$", "", "signal: killed", -1},
			{"no input", "read -r x || echo none", "none\n", "", 0},
		} {
			cmd := shell(tt.script)
			out, err := cmd.CombinedOutput()
			text := ""
			if err != nil {
				text = err.Error()
			}
			if string(out) != tt.out || text != tt.err || cmd.ExitCode() != tt.code {
				t.Errorf("%s: %q, %v, exit status %d", tt.name, out, err, cmd.ExitCode())
			}
		}
	})
}

func TestNotStarted(t *testing.T) {
	both(t, func(t *testing.T) {
		if err := program("/nonexistent").Run(); !errors.Is(err, syscall.ENOENT) || err.Error() != syscall.ENOENT.Error() {
			t.Errorf("no such file: %v", err)
		}
		if err := program("refused").Run(); err == nil || err.Error() != errRefused.Error() || problem.Remedy(err) != problem.Remedy(errRefused) {
			t.Errorf("refused: %v (%s)", err, problem.Remedy(err))
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := shell("true").Bind(ended).Run(); !errors.Is(err, context.Canceled) {
			t.Errorf("ended before: %v", err)
		}
	})
}

// A program gets the descriptors that were given to it.
func TestDescriptors(t *testing.T) {
	both(t, func(t *testing.T) {
		r, w, err := os.Pipe()
		testutil.Must(t, err)
		defer r.Close()
		input := filepath.Join(t.TempDir(), "input")
		testutil.Must(t, os.WriteFile(input, []byte("text\n"), 0o600))
		in, err := os.Open(input)
		testutil.Must(t, err)
		defer in.Close()
		cmd := shell("cat >&3")
		cmd.Stdin, cmd.Files = in, []*os.File{w}
		testutil.Must(t, cmd.Run())
		w.Close()
		got := make([]byte, 10)
		n, _ := r.Read(got)
		if string(got[:n]) != "text\n" {
			t.Errorf("descriptor 3 got %q", got[:n])
		}
	})
}

// A large request, and many at a time.
func TestMany(t *testing.T) {
	both(t, func(t *testing.T) {
		long := strings.Repeat("x", 100<<10)
		results := make(chan error)
		for range 20 {
			go func() {
				out, err := program("/bin/echo", long).Output()
				if err == nil && string(out) != long+"\n" {
					err = errors.New("it printed something else")
				}
				results <- err
			}()
		}
		for range 20 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestEnds(t *testing.T) {
	both(t, func(t *testing.T) {
		for _, tt := range []struct {
			name, script, err string
			end               func(*Cmd, context.CancelFunc)
		}{
			{"signal", "echo; exec sleep 60", "signal: terminated", func(c *Cmd, _ context.CancelFunc) { c.Signal(syscall.SIGTERM) }},
			{"context", "echo; exec sleep 60", "signal: killed", func(_ *Cmd, cancel context.CancelFunc) { cancel() }},
			{"group", "sleep 60 & echo; wait", "signal: terminated", func(c *Cmd, _ context.CancelFunc) { c.EndGroup(time.Minute) }},
			{"group that stays", "trap '' TERM; echo; while :; do sleep 60; done", "signal: killed", func(c *Cmd, _ context.CancelFunc) { c.EndGroup(10 * time.Millisecond) }},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			r, w, err := os.Pipe()
			testutil.Must(t, err)
			cmd := shell(tt.script).Bind(ctx)
			cmd.Stdout = w
			testutil.Must(t, cmd.Start())
			w.Close()
			_, _ = r.Read(make([]byte, 1)) // it is there
			if cmd.Pid() <= 1 {
				t.Errorf("%s: process %d", tt.name, cmd.Pid())
			}
			go tt.end(cmd, cancel)
			if err := cmd.Wait(); err == nil || err.Error() != tt.err {
				t.Errorf("%s: %v, want %s", tt.name, err, tt.err)
			}
			if n, _ := r.Read(make([]byte, 1)); n != 0 {
				t.Errorf("%s: something stays", tt.name)
			}
			r.Close()
			cancel()
			cmd.Signal(syscall.SIGKILL) // of what has ended does nothing
		}
	})
}

// A process that holds the output after the end does not hold up Wait for longer than
// WaitDelay.
func TestWaitDelay(t *testing.T) {
	both(t, func(t *testing.T) {
		var out bytes.Buffer
		cmd := shell("sleep 60 & echo $!")
		cmd.Stdout, cmd.WaitDelay = &out, 50*time.Millisecond
		if err := cmd.Run(); !errors.Is(err, exec.ErrWaitDelay) {
			t.Errorf("error = %v", err)
		}
		_ = exec.Command("kill", strings.TrimSpace(out.String())).Run()
	})
}

// The programs of a caller that ends go on, and the runner ends after the last of them.
func TestCallerEnds(t *testing.T) {
	r, served := serve(t, Server{Make: run})
	Use(r)
	defer Use(nil)
	in, w, err := os.Pipe()
	testutil.Must(t, err)
	file := filepath.Join(t.TempDir(), "file")
	cmd := shell("read -r x; echo done >" + file)
	cmd.Stdin = in
	testutil.Must(t, cmd.Start())
	in.Close()
	r.Close()
	cmd.running.(*remote).conn.Close()
	if err := cmd.Wait(); !errors.Is(err, errNoRunner) {
		t.Errorf("its caller: %v", err)
	}
	select {
	case <-served:
		t.Error("the runner has ended before its program")
	case <-time.After(50 * time.Millisecond):
	}
	w.Close()
	<-served
	if text, err := os.ReadFile(file); string(text) != "done\n" {
		t.Errorf("the program: %q, %v", text, err)
	}
	if err := shell("true").Run(); !errors.Is(err, errNoRunner) {
		t.Errorf("without a runner: %v", err)
	}
}

// What is no request, or passes too few descriptors, starts nothing and ends nothing.
func TestBadRequests(t *testing.T) {
	r, served := serve(t, Server{Make: run})
	_, err := r.conn.Write([]byte{0, 0}) // without descriptors
	testutil.Must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Must(t, err)
	defer l.Close()
	tcp, err := net.Dial("tcp", l.Addr().String())
	testutil.Must(t, err)
	defer tcp.Close()
	f, err := tcp.(*net.TCPConn).File()
	testutil.Must(t, err)
	defer f.Close()
	_, _, err = r.conn.WriteMsgUnix([]byte{0}, syscall.UnixRights(int(f.Fd())), nil)
	testutil.Must(t, err)
	if _, err := r.start(Request{Argv: []string{"/bin/true"}}, nil); err == nil {
		t.Error("a program without input and output")
	}
	if _, err := r.start(Request{}, []*os.File{os.Stdin, os.Stdin, os.Stdin}); err == nil {
		t.Error("an empty request")
	}
	r.Close()
	<-served
}

// After the end of a program the runner signals nothing: the number may be another's. The
// group, whose number is the same, has a process that shows it.
func TestSignalAfterEnd(t *testing.T) {
	r, served := serve(t, Server{Make: run})
	out, w, err := os.Pipe()
	testutil.Must(t, err)
	p, err := r.request(Request{Argv: []string{"/bin/sh", "-c", "sleep 60 & echo $!"}, Group: true}, []*os.File{os.Stdin, w, w})
	testutil.Must(t, err)
	w.Close()
	text := make([]byte, 20)
	n, err := out.Read(text)
	testutil.Must(t, err)
	stays, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	testutil.Must(t, err)
	defer func() { _ = syscall.Kill(stays, syscall.SIGKILL) }()
	var m message
	if err := p.in.Decode(&m); err != nil || !m.Exited {
		t.Fatalf("%+v, %v", m, err)
	}
	testutil.Must(t, p.out.Encode(message{Signal: syscall.SIGKILL}))
	testutil.Must(t, p.out.Encode(message{End: time.Millisecond}))
	if err := p.in.Decode(&m); err != nil || !m.Ended {
		t.Fatalf("%+v, %v", m, err)
	}
	_ = out.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := out.Read(text); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the group was signalled: %v", err)
	}
	p.conn.Close()
	r.Close()
	<-served
}

// Texts for the service manager pass through the runner.
func TestNotify(t *testing.T) {
	var got []string
	r, served := serve(t, Server{Notify: func(text string) error { got = append(got, text); return nil }})
	testutil.Must(t, r.Notify("READY=1"))
	testutil.Must(t, r.Notify("STATUS=x"))
	r.Close()
	<-served
	if !slices.Equal(got, []string{"READY=1", "STATUS=x"}) {
		t.Errorf("sent: %q", got)
	}
}
