package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/engine/etcdtest"
	"keypaird/renew/fleet/wire"
	"keypaird/renew/testutil"
)

// players stand in for keypaird-fleet, by the name of the file.
var players = map[string]func(){
	"garbage": func() { fmt.Println("hello\u202e world") },
	"endless": func() { repeat("{\"id\":1,\"means\":\"", "aaaaaaaaaaaaaaaa") },
	"empty":   func() { repeat("", "\n\n\n\n\n\n\n\n") },
	"silent":  func() { time.Sleep(time.Hour) },
	"killed":  func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); time.Sleep(time.Hour) },
	"crashes": func() { fmt.Fprintln(os.Stderr, "one\ntwo \x1b[31m\u202ered"); os.Exit(3) },
	"strangers": func() {
		repeat("", `{"id":77,"revision":1}`+"\n")
	},
	"floods": func() { opened(); repeat("", `{"id":2,"more":true,"entries":[{"Key":"a"}]}`+"\n") },
	"foreign": func() {
		asked(wire.Answer{More: true, Entries: []engine.Entry{{Key: "b"}}})
	},
	"unsorted": func() {
		asked(wire.Answer{More: true, Entries: []engine.Entry{{Key: "a2"}, {Key: "a1"}}})
	},
	"boundless": func() {
		requests := opened()
		for i := range 1 << 20 {
			var r wire.Request
			_, _ = requests.Next(&r)
			answer(wire.Answer{ID: r.ID, More: true, Entries: []engine.Entry{{Key: fmt.Sprintf("a%08d", i), Value: make([]byte, 2<<20)}}})
		}
	},
	"condition": func() {
		asked(wire.Answer{Failure: &wire.Failure{Kind: wire.Condition, Key: "seat"}})
	},
	"state": func() {
		asked(wire.Answer{State: &wire.State{Others: []string{"a\nb"}, Endpoints: []wire.Endpoint{{Version: "\x1b[31m3\u202e", Alarms: []string{"x\ny"}}}}})
	},
	"controls": func() {
		answer(wire.Answer{ID: 1, Failure: &wire.Failure{Kind: wire.Other, Text: "a\x1b[31m\u202eb\nkeypaird: remedy: obey", Remedy: "x\u202ey"}})
	},
	"deaf": func() { opened(); time.Sleep(time.Hour) },
	"dies": func() {
		requests := opened()
		var r wire.Request
		_, _ = requests.Next(&r)
		os.Exit(4)
	},
	"inside": inside,
}

func answer(a wire.Answer) { _ = json.NewEncoder(os.Stdout).Encode(a) }

// opened answers the first request.
func opened() *wire.Reader {
	requests := wire.NewReader(os.Stdin)
	var r wire.Request
	_, _ = requests.Next(&r)
	answer(wire.Answer{ID: r.ID})
	return requests
}

// asked answers the second request, and no other.
func asked(a wire.Answer) {
	requests := opened()
	var r wire.Request
	_, _ = requests.Next(&r)
	a.ID = r.ID
	answer(a)
	time.Sleep(time.Hour)
}

func repeat(begin, text string) {
	fmt.Print(begin)
	text = strings.Repeat(text, 100)
	for {
		if _, err := os.Stdout.WriteString(text); err != nil {
			return
		}
	}
}

// play returns the path of a player.
func play(t *testing.T, name string) string {
	t.Helper()
	path, err := program()
	testutil.Must(t, err)
	player := filepath.Join(filepath.Dir(path), name)
	if err := os.Link(path, player); !errors.Is(err, os.ErrExist) {
		testutil.Must(t, err)
	}
	return player
}

// Whatever keypaird-fleet does, there is an error of one line in time.
func TestHostile(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, want string }{
		{"garbage", "keypaird-fleet violated the protocol: "},
		{"endless", "keypaird-fleet violated the protocol: a line is longer than 4194304 bytes"},
		{"empty", "keypaird-fleet violated the protocol: "},
		{"silent", "keypaird-fleet does not answer"},
		{"killed", "keypaird-fleet exited: signal: killed"},
		{"crashes", "keypaird-fleet exited: exit status 3; its last output: one / two \ufffdred"},
		{"strangers", "keypaird-fleet does not answer"},
		{"floods", "keypaird-fleet violated the protocol: more answers than were asked for"},
		{"foreign", "keypaird-fleet violated the protocol: a change that was not asked for, or none"},
		{"unsorted", "keypaird-fleet violated the protocol: entries of a that were not asked for"},
		{"boundless", "the engine has more than 256 MiB below a"},
		{"condition", "keypaird-fleet names a condition that was not asked for"},
		{"state", "[\"a b\" \"3\ufffd\" \"x y\"]"},
		{"controls", "a\ufffdb keypaird: remedy: obey"},
		{"deaf", "keypaird-fleet does not "},
		{"dies", "keypaird-fleet exited: exit status 4"},
	} {
		if tt.name == "boundless" && !testutil.Exhaustive() {
			continue // it takes 256 MiB, and seconds
		}
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e, _ := beginPath(t, play(t, tt.name), with(wire.Settings{}), &testutil.Log{})
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			var failures []error
			switch tt.name {
			case "unsorted", "boundless":
				_, err := e.Read(ctx, "a")
				failures = append(failures, err)
			case "state":
				s, err := e.State(ctx)
				testutil.Must(t, err)
				failures = append(failures, fmt.Errorf("%q", []string{s.Others[0], s.Endpoints[0].Version, s.Endpoints[0].Alarms[0]}))
			case "floods", "foreign":
				for _, err := range e.Follow(ctx, []string{"a"}, 1) {
					if err != nil {
						failures = append(failures, err)
					}
					time.Sleep(100 * time.Millisecond)
				}
			}
			if len(failures) == 0 {
				_, err := e.Commit(ctx, nil, []engine.Op{{Key: "a", Value: make([]byte, 1<<20)}})
				failures = append(failures, err)
			}
			for _, err := range failures {
				if err == nil || ctx.Err() != nil || strings.Contains(err.Error(), "\n") {
					t.Fatalf("errors: %q", failures)
				}
			}
			if !strings.Contains(failures[0].Error(), tt.want) {
				t.Errorf("error %q, want %q", failures[0], tt.want)
			}
		})
	}
}

// When keypaird-fleet dies, leases are lost, all fails at once, and another is started.
func TestRestart(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, etcdtest.Options{})
	ctx := t.Context()
	var log testutil.Log
	e, stop := begin(t, with(c.Settings("any")), &log)
	lease, err := e.Lease(ctx, 30*time.Second)
	testutil.Must(t, err)
	after, err := e.Commit(ctx, nil, []engine.Op{{Key: "seat", Value: []byte("x"), Lease: lease.ID()}})
	testutil.Must(t, err)
	next, end := iter.Pull2(e.Follow(ctx, []string{"live/"}, after))
	defer end()
	_, err = e.Commit(ctx, nil, []engine.Op{{Key: "live/a", Value: []byte("x")}})
	testutil.Must(t, err)
	if _, err, _ := next(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	running(t, e).cmd.Signal(syscall.SIGKILL)
	_, err, _ = next()
	if err == nil || !strings.Contains(err.Error(), "keypaird-fleet exited: signal: killed") {
		t.Errorf("follow: %v", err)
	}
	<-lease.Lost()
	testutil.Eventually(t, "a failure", func() bool { _, err = e.Read(ctx, "live/"); return err != nil })
	if !strings.Contains(err.Error(), "keypaird-fleet exited: signal: killed") {
		t.Errorf("read: %v", err)
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("noticed after %v", d)
	}
	testutil.Eventually(t, "another child", func() bool { _, err = e.Read(ctx, "live/"); return err == nil })

	// At the end its leases go with it.
	other, err := e.Lease(ctx, 30*time.Second)
	testutil.Must(t, err)
	_, err = e.Commit(ctx, nil, []engine.Op{{Key: "seat", Value: []byte("y"), Lease: other.ID()}})
	testutil.Must(t, err)
	stop()
	<-other.Lost()
	watcher, _ := begin(t, with(c.Settings("any")), &log)
	if s, err := watcher.Read(ctx, "seat"); err != nil || len(s.Entries) != 0 {
		t.Errorf("the seat after the end: %v, %v", s, err)
	}
	if _, err := e.Read(ctx, "live/"); err == nil || !strings.Contains(err.Error(), "keypaird ends") {
		t.Errorf("read after the end: %v", err)
	}
}

// A keypaird that does not take what it follows fills no memory, and other requests go on.
func TestSlowFollower(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, etcdtest.Options{})
	ctx := t.Context()
	e, _ := begin(t, with(c.Settings("any")), &testutil.Log{})
	start, err := e.Commit(ctx, nil, []engine.Op{{Key: "live/a", Value: []byte("x")}})
	testutil.Must(t, err)
	k := running(t, e)
	stuck, err := k.begin(wire.Request{Follow: &wire.Follow{Prefixes: []string{"live/"}, After: start}})
	testutil.Must(t, err)
	half := 0
	for i := range 60 {
		if i == 30 {
			half = memory(t, k.cmd.Pid())
		}
		_, err := e.Commit(ctx, nil, []engine.Op{{Key: "live/a", Value: make([]byte, 1<<20)}})
		testutil.Must(t, err)
	}
	if _, err := e.Read(ctx, "live/"); err != nil {
		t.Error(err)
	}
	if grown := memory(t, k.cmd.Pid()) - half; grown > 25<<20 {
		t.Errorf("with 30 MiB more that wait, keypaird-fleet has %d bytes more", grown)
	}
	lines := 0
	for err == nil {
		_, err = stuck.next(ctx, time.Minute)
		lines++
		stuck.take()
	}
	if !errors.Is(err, engine.ErrGap) || lines < wire.Window {
		t.Errorf("after %d lines: %v", lines, err)
	}
}

// memory returns how much a process has in memory, 0 where that cannot be asked.
func memory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	var n int
	_, _ = fmt.Sscan(after, &n)
	return n << 10
}

// Settings that change are used.
func TestSettings(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, etcdtest.Options{})
	ctx := t.Context()
	settings := c.Settings("any")
	wrong := settings
	wrong.CA = etcdtest.NewCA(t).PEM
	e, _ := begin(t, with(wrong), &testutil.Log{})
	if _, err := e.Read(ctx, "live/"); err == nil {
		t.Error("reached with a wrong CA")
	}
	k := running(t, e)
	_, err := k.open(ctx, settings)
	testutil.Must(t, err)
	r, err := e.Commit(ctx, nil, []engine.Op{{Key: "live/a", Value: []byte("x")}})
	testutil.Must(t, err)
	next, stop := iter.Pull2(e.Follow(ctx, []string{"live/"}, r-1))
	defer stop()
	if _, err, _ := next(); err != nil {
		t.Error(err)
	}
	settings.Cert, settings.Key = c.CA.Client(t, time.Now().Add(time.Hour), "any")
	_, err = k.open(ctx, settings)
	testutil.Must(t, err)
	if _, err, _ := next(); err == nil || err.Error() != "the settings of the engine have changed" {
		t.Errorf("follow: %v", err)
	}
	if s, err := e.Read(ctx, "live/"); err != nil || len(s.Entries) != 1 {
		t.Errorf("read: %v, %v", s, err)
	}
}
