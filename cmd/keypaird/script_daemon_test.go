package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// daemon sends a signal to the daemon of a state directory: the file that it
// holds says which process it is.
func (s *story) daemon(_ bool, args []string) {
	f := flag.NewFlagSet("daemon", flag.ContinueOnError)
	state := f.String("state", "state", "")
	s.Check(f.Parse(args))
	words := strings.Fields(s.ReadFile(*state + "/daemon"))
	if len(words) < 2 {
		s.Fatalf("no daemon works on %s", *state)
	}
	pid, err := strconv.Atoi(words[1])
	s.Check(err)
	sig, known := signals[f.Arg(0)]
	if !known {
		s.Fatalf("no signal %q", f.Arg(0))
	}
	s.Check(syscall.Kill(pid, sig))
}

// manager listens as a service manager does, and writes what it is told to the
// file "manager", each message ending in a line "--".
func (s *story) manager(_ bool, args []string) {
	path := s.MkAbs("manager.socket")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	s.Check(err)
	log, err := os.OpenFile(s.MkAbs("manager"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	s.Check(err)
	heard := make(chan struct{})
	go func() { // ends with conn
		defer close(heard)
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			fmt.Fprintf(log, "%s--\n", buf[:n])
		}
	}()
	s.later(func() {
		conn.Close()
		<-heard
		log.Close()
	})
	s.Setenv("NOTIFY_SOCKET", path)
	if len(args) == 1 { // how often it wants to hear that all is well
		every, err := time.ParseDuration(args[0])
		s.Check(err)
		s.Setenv("WATCHDOG_USEC", strconv.FormatInt(every.Microseconds(), 10))
	}
}

// sink takes whatever is sent to it. What claims to be JSON has to be.
func (s *story) sink(_ bool, _ []string) {
	file := s.MkAbs("sink")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var value any
		if r.Header.Get("Content-Type") == "application/json" && err == nil {
			err = json.Unmarshal(body, &value)
		}
		text := fmt.Sprintf("%s %s\n", r.Method, r.URL.Path)
		for _, name := range slices.Sorted(maps.Keys(r.Header)) {
			text += fmt.Sprintf("%s: %s\n", name, r.Header.Get(name))
		}
		text += fmt.Sprintf("\n%s\n%v\n", body, value)
		if err != nil || os.WriteFile(file, []byte(text), 0o644) != nil {
			http.Error(w, fmt.Sprint(err), http.StatusBadRequest)
		}
	}))
	s.later(srv.Close)
	s.Setenv("SINK", srv.URL)
}

// fetch is a program: it asks for a URL, and prints status and body.
func fetch() {
	f := flag.NewFlagSet("fetch", flag.ExitOnError)
	socket := f.String("unix", "", "ask through the socket `FILE`")
	has := f.String("has", "", "fail unless the body has `TEXT` in it")
	f.Parse(os.Args[1:])
	transport := &http.Transport{DisableKeepAlives: true}
	if *socket != "" {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", *socket)
		}
	}
	client := &http.Client{Transport: transport, Timeout: patience}
	resp, err := client.Get(f.Arg(0))
	var body []byte
	if err == nil {
		defer resp.Body.Close()
		body, err = io.ReadAll(resp.Body)
	}
	if err == nil && !strings.Contains(string(body), *has) {
		err = fmt.Errorf("%q is not in it", *has)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fetch:", err)
		syscall.Exit(1)
	}
	fmt.Printf("%s\n%s", resp.Status, body)
}

// activate is a program: it listens at NAME=ADDRESS and so on, and becomes the
// program behind "--", with the sockets, as a service manager does it.
func activate() {
	if err := becomeActivated(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "activate:", err)
		syscall.Exit(1)
	}
}

func becomeActivated(args []string) error {
	var names []string
	var files []*os.File
	for len(args) > 0 && args[0] != "--" {
		name, addr, _ := strings.Cut(args[0], "=")
		network := "tcp"
		if file, ok := strings.CutPrefix(addr, "unix:"); ok {
			network, addr = "unix", file
		}
		l, err := net.Listen(network, addr)
		if err != nil {
			return err
		}
		if u, ok := l.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
		file, err := l.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			return err
		}
		names, files, args = append(names, name), append(files, file), args[1:]
	}
	if len(args) < 2 {
		return errors.New("no program")
	}
	for i, f := range files { // clear of the numbers they are to have, then there
		high, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 100+i)
		if err != nil {
			return err
		}
		defer unix.Close(high)
		if err := unix.Dup2(high, 3+i); err != nil {
			return err
		}
	}
	program, err := exec.LookPath(args[1])
	if err != nil {
		return err
	}
	env := append(os.Environ(), fmt.Sprint("LISTEN_PID=", os.Getpid()), fmt.Sprint("LISTEN_FDS=", len(files)),
		"LISTEN_FDNAMES="+strings.Join(names, ":"))
	return syscall.Exec(program, args[1:], env)
}
