package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"keypaird/acme/http01"
	"keypaird/acme/tlsalpn01"
	"keypaird/cmd/keypaird/cli"
	"keypaird/renew/testutil"
)

// A flood is connections to all ports of a listener.
type flood struct {
	name  string
	sends []string // in turn, one for each connection, which stays open
}

func floods() []flood {
	var hello bytes.Buffer
	_ = tls.Client(clientHello{Writer: &hello}, &tls.Config{ServerName: "a.test", NextProtos: []string{"h2"}}).Handshake()
	silent, header := "", "GET / HTTP/1.1\r\nHost: localhost\r\nX: "
	body, deaf := "GET /status.json HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n", "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
	if !testutil.Exhaustive() {
		return []flood{{"mixed", []string{silent, header, body, deaf, hello.String(), hello.String()[:50]}}}
	}
	return []flood{
		{"silent", []string{silent}}, {"slow headers", []string{header}}, {"slow bodies", []string{body}}, {"deaf", []string{deaf}},
		{"TLS", []string{hello.String()}}, {"half TLS", []string{hello.String()[:50]}},
	}
}

// A clientHello is a connection that keeps what a client sends first.
type clientHello struct {
	net.Conn
	io.Writer
}

func (c clientHello) Write(p []byte) (int, error)      { return c.Writer.Write(p) }
func (c clientHello) Read([]byte) (int, error)         { return 0, io.EOF }
func (c clientHello) Close() error                     { return nil }
func (c clientHello) SetDeadline(time.Time) error      { return nil }
func (c clientHello) SetReadDeadline(time.Time) error  { return nil }
func (c clientHello) SetWriteDeadline(time.Time) error { return nil }

// pour makes five hundred connections a second to an address until ctx ends, from
// so many addresses of loopback.
func (f flood) pour(ctx context.Context, addr string, sources int) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		source := i % sources
		d := net.Dialer{Timeout: time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+source/100), byte(1+source%100))}}
		if c, err := d.DialContext(ctx, "tcp", addr); err == nil {
			_, _ = io.WriteString(c, f.sends[i%len(f.sends)])
			open = append(open, c)
		}
		if len(open) > 1000 { // more than are served: those have been closed
			open[0].Close()
			open = open[1:]
		}
	}
}

// honest returns why a request that is made now is not answered within two seconds.
func honest(kind, addr string) error {
	const bound = 2 * time.Second
	began := time.Now()
	d := &net.Dialer{Timeout: bound}
	client := &http.Client{Timeout: bound, Transport: &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true}}
	want, path := http.StatusOK, "/healthz"
	switch kind {
	case "tls-alpn":
		conn, err := d.Dial("tcp", addr)
		if err != nil {
			return err
		}
		defer conn.Close()
		_ = conn.SetDeadline(began.Add(bound))
		err = tls.Client(conn, &tls.Config{ServerName: "a.test", NextProtos: []string{tlsalpn01.Protocol}, InsecureSkipVerify: true}).Handshake()
		if err == nil || !strings.Contains(err.Error(), "remote error: tls") {
			return fmt.Errorf("no alert after %v: %v", time.Since(began), err)
		}
		return nil
	case "http":
		want, path = http.StatusNotFound, http01.Path+strings.Repeat("x", 43)
	}
	resp, err := client.Get("http://" + addr + path)
	if err != nil {
		return fmt.Errorf("after %v: %w", time.Since(began), err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != want {
		return fmt.Errorf("%s %q, %v after %v", resp.Status, text, err, time.Since(began))
	}
	return nil
}

// TestFloods: floods at port 80, tls-alpn-01 and the page delay neither an honest request
// nor an order, and the listener's memory is bounded.
func TestFloods(t *testing.T) {
	g := newBench(t)
	config := g.configure(t, "state", []string{"flood.test"})
	ports := map[string]string{"http": net.JoinHostPort("127.0.0.1", strconv.Itoa(g.ca.HTTPPort))}
	for _, name := range []string{"status", "tls-alpn"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		testutil.Must(t, err)
		ports[name] = l.Addr().String()
		testutil.Must(t, l.Close())
	}
	text, err := os.ReadFile(config)
	testutil.Must(t, err)
	config += ".daemon"
	changed := strings.Replace(string(text), fmt.Sprintf("listen = %q", ports["http"]), `listen = "fd:http"`, 1)
	testutil.Must(t, os.WriteFile(config, []byte(changed+"\n[status]\nlisten = \"fd:status\"\n[tls-alpn]\nlisten = \"fd:tls-alpn\"\n"), 0o600))
	log, err := os.Create(filepath.Join(g.dir, "log"))
	testutil.Must(t, err)
	defer log.Close()
	var args []string
	for name, addr := range ports {
		args = append(args, name+"="+addr)
	}
	daemon := exec.CommandContext(t.Context(), os.Args[0], append(args, "--", g.program, "-config", config, "run")...)
	daemon.Args[0], daemon.Stderr = "activate", log
	testutil.Must(t, daemon.Start())
	ended := false
	end := func() {
		if !ended {
			ended = true
			_ = daemon.Process.Signal(syscall.SIGTERM)
			_ = daemon.Wait()
		}
	}
	defer end()
	said := func() string { text, _ := os.ReadFile(log.Name()); return string(text) }
	testutil.Must(t, testutil.Within(patience, func() error {
		if !strings.Contains(said(), `msg="pass finished" targets=1 failing=0`) {
			return fmt.Errorf("no pass: %s", said())
		}
		return nil
	}))
	lasts := 3 * time.Second
	if testutil.Exhaustive() {
		lasts = 10 * time.Second
	}
	turn := 0
	for _, sources := range []int{1, 200} {
		for _, f := range floods() {
			turn++
			mine := g.configure(t, "state", g.names(turn, 1)) // a new name, which is validated
			t.Run(fmt.Sprint(f.name, " from ", sources), func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), lasts)
				defer cancel()
				var work sync.WaitGroup
				defer work.Wait()
				for name, addr := range ports {
					work.Go(func() { f.pour(ctx, addr, sources) })
					work.Go(func() {
						answered := 0
						for ; ctx.Err() == nil; answered++ {
							if err := honest(name, addr); err != nil {
								t.Errorf("%s: %v", name, err)
							}
							select {
							case <-time.After(20 * time.Millisecond):
							case <-ctx.Done():
							}
						}
						t.Logf("%s: %d requests answered", name, answered)
					})
				}
				began := time.Now()
				g.run(t, cli.Changed, g.program, "-config", mine, "issue")
				t.Logf("ordered in %v; the listener has %d kB", time.Since(began).Round(time.Millisecond), listenerMemory(t, daemon.Process.Pid))
				work.Wait()
				if kB := listenerMemory(t, daemon.Process.Pid); kB == 0 || kB > 100_000 {
					t.Errorf("the listener has %d kB", kB)
				}
			})
		}
	}
	end()
	if strings.Contains(said(), "listener exited") {
		t.Errorf("the listener died:\n%s", said())
	}
}

// cutOff finds the failures of orders whose challenge the CA was reading when the listener
// was killed.
var cutOff = regexp.MustCompile(`(?m)^keypaird: cert .*: connection: Get .*(EOF|connection reset by peer)$`)

// TestListenerKilled: orders go on while the listener is killed again and again, but for those
// whose challenge the CA is just reading. The next run obtains these.
func TestListenerKilled(t *testing.T) {
	g := newBench(t)
	names := g.names(0, 40)
	config := g.configure(t, "state", names)
	cmd := exec.CommandContext(t.Context(), g.program, "-config", config, "issue", "-v")
	log, err := os.Create(filepath.Join(g.dir, "log"))
	testutil.Must(t, err)
	defer log.Close()
	cmd.Stderr = log
	testutil.Must(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	killed, last := 0, 0
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		select {
		case err := <-ended:
			text, _ := os.ReadFile(log.Name())
			stored, cut := strings.Count(string(text), "msg=stored"), len(cutOff.FindAll(text, -1))
			if (err != nil) != (cut > 0) || stored+cut != len(names) || killed == 0 {
				t.Errorf("%v after %d of %d certificates, %d connections cut, %d listeners killed:\n%s", err, stored, len(names), cut, killed, text)
			} else if cut > 0 {
				t.Logf("%d connections cut", cut)
				g.run(t, cli.Changed, g.program, "-config", config, "issue")
			}
			return
		case <-tick.C:
			if pid := listenerOf(cmd.Process.Pid); pid != 0 && pid != last && killed < 3 {
				_ = syscall.Kill(pid, syscall.SIGKILL)
				killed, last = killed+1, pid
			}
		}
	}
}

// listenerMemory returns how much of the listener is in memory, in kB.
func listenerMemory(t *testing.T, daemon int) int {
	t.Helper()
	pid := listenerOf(daemon)
	if pid == 0 {
		t.Error("there is no listener")
	}
	return vmRSS(pid)
}

// listenerOf returns the process of a keypaird's listener, which its runner has started; 0:
// there is none.
func listenerOf(keypaird int) int {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", keypaird))
	for _, task := range tasks {
		children, _ := os.ReadFile(task)
		for child := range strings.FieldsSeq(string(children)) {
			line, _ := os.ReadFile("/proc/" + child + "/cmdline")
			pid, err := strconv.Atoi(child)
			if err == nil && strings.HasSuffix(string(line), "listener\x00") {
				return pid
			}
			if below := listenerOf(pid); err == nil && below != 0 {
				return below
			}
		}
	}
	return 0
}
