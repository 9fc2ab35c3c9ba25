//go:build amd64 || arm64

package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keypaird/renew/testutil"
)

// With ever more files that may be open, until there are enough: what there are
// too few for fails, and costs an order at worst.
func TestDiskFewFiles(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	d := newDisk(t)
	d.top = "parallel = 1\n" // no other order takes files while one begins
	d.issued()
	const least = 8 // with less, the runtime cannot start the program
	failed, told := 0, 0
	for n, enough := least, false; !enough; n++ {
		d.want()
		before := d.see("before")
		tt := trial{name: fmt.Sprintf("%d files", n), orders: true, new: true, lost: true}
		cmd := exec.CommandContext(d.Context(), "/bin/sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" issue`, n), d.program)
		cmd.Env = append(os.Environ(), "KEYPAIRD_CONFIG="+d.vars["KEYPAIRD_CONFIG"])
		text, err := cmd.CombinedOutput()
		out := string(text)
		if enough = err == nil; !enough {
			if err := complaints(out, ""); cmd.ProcessState.ExitCode() != 1 || err != nil {
				t.Fatalf("%s: exit status %d, %v\n%s", tt.name, cmd.ProcessState.ExitCode(), err, out)
			}
			failed++
			if strings.Contains(out, limit) { // or the CA had no answer, and that is what it says
				told++
			}
		}
		d.unchanged(tt, before, out)
		d.bounded(tt, out)
		d.renewed(tt, before, out+d.run(0, 2))
	}
	if failed < 8 || told < failed*3/4 {
		t.Errorf("%d runs failed, and %d said that too few files may be open", failed, told)
	}
}

// squeeze has the daemon open no file more, until release is called.
func (p *patient) squeeze() (release func(), err error) {
	pid := engineOf(p.cmd.Process.Pid)
	var before unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &before); err != nil {
		return nil, err
	}
	none := unix.Rlimit{Cur: 0, Max: before.Max}
	return func() { unix.Prlimit(pid, unix.RLIMIT_NOFILE, &before, nil) }, unix.Prlimit(pid, unix.RLIMIT_NOFILE, &none, nil)
}

// A daemon that may open no more files, from any request of an order on, loses
// that order at worst, and no other.
func TestDiskFewFilesOfDaemon(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	d := newDisk(t)
	d.top = "parallel = 1\n" // what another waits for, in vain, would take its time
	d.issued()
	p := d.startDaemon()
	p.log.says(t, 1, `msg="pass finished"`)
	p.idle()
	failed := 0
	for _, kind := range []string{"directory", "nonce", "order", "authz", "challenge", "finalize", "poll", "certificate"} {
		tt := trial{name: "few files from " + kind + " on", orders: true, new: true, lost: true}
		before := p.see("before")
		release, squeezed := func() {}, make(chan error, 1)
		out := p.renew(func() {
			p.ca.at(kind, false, func() {
				var err error
				release, err = p.squeeze()
				squeezed <- err
			})
		})
		p.ca.at("", false, nil)
		select {
		case err := <-squeezed:
			if err != nil {
				t.Fatal(err)
			}
			if err := said(out, ""); err != nil {
				t.Fatalf("%s: %v\n%s", tt.name, err, out)
			}
			failed++
		default: // a nonce was there, or Pebble was fast
		}
		placed, _ := p.ca.orders()
		out += p.looks(p.signal(syscall.SIGUSR1))
		if again, _ := p.ca.orders(); again != placed {
			t.Errorf("%s: an order more\n%s", tt.name, out)
		}
		p.unchanged(tt, before, out)
		release()
		p.answers(tt.name)
		p.renewed(tt, before, out+p.recover())
	}
	if failed < 5 {
		t.Errorf("%d passes failed: that proves nothing", failed)
	}
	p.end()
}

// idle has a daemon that has nothing to do open no more files: it says so, and
// answers whoever came meanwhile as soon as it can.
func (p *patient) idle() {
	p.Helper()
	release, err := p.squeeze()
	if err != nil {
		p.Fatal(err)
	}
	out := p.looks(p.signal(syscall.SIGUSR1))
	if err := said(out, limit); err != nil {
		p.Errorf("%v\n%s", err, out)
	}
	conn, err := ask(p.vars["PAGE"])
	if err != nil {
		p.Fatal(err)
	}
	defer conn.Close()
	release()
	if err := answered(conn); err != nil {
		p.Error(err)
	}
	if out := p.looks(p.signal(syscall.SIGUSR1)); !strings.Contains(out, "failing=0 ") {
		p.Errorf("afterwards: %s", out)
	}
}

// ask sends a request for whatever there is at an address.
func ask(addr string) (net.Conn, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(patience))
	_, err = fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	return conn, err
}

// answered waits for the answer.
func answered(conn net.Conn) error {
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 ") {
		return fmt.Errorf("%v answers %q, %w", conn.RemoteAddr(), line, err)
	}
	return nil
}

// Neither the listener for http-01 nor that of the page ends when a connection
// cannot be had: they get it later, and the proof goes on.
func TestDiskListeners(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	d := newDisk(t)
	started, met := make(chan *patient, 1), make(chan error, 1)
	d.ca.at("challenge", false, func() { met <- (<-started).unheard(":"+d.vars["HTTP_PORT"], d.vars["PAGE"]) })
	p := d.startDaemon()
	started <- p
	p.log.says(t, 1, `msg="pass finished"`)
	if err := <-met; err != nil {
		t.Errorf("%v\n%s", err, p.log)
	}
	if placed, finalized := d.ca.orders(); placed != len(crashNames) || finalized != placed {
		t.Errorf("%d orders placed, %d finalized\n%s", placed, finalized, p.log)
	}
	for name, now := range p.see("in the end") {
		if now.served != now.live {
			t.Errorf("%s is not served\n%s", name, p.log)
		}
	}
	p.end()
}

// unheard has no connection accepted for a while, then all of them.
func (p *patient) unheard(addrs ...string) error {
	for _, addr := range addrs {
		if err := testutil.Within(patience, func() error { return dial(addr) }); err != nil {
			return err
		}
	}
	p.set(fault{calls: "accept", err: tooMany})
	defer p.set(fault{})
	var conns []net.Conn
	for _, addr := range addrs {
		conn, err := ask(addr)
		if err != nil {
			return err
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	if err := testutil.Within(patience, func() error {
		if p.count() < 5 {
			return errors.New("not enough connections were refused")
		}
		return nil
	}); err != nil {
		return err
	}
	p.set(fault{})
	for _, conn := range conns {
		if err := answered(conn); err != nil {
			return err
		}
	}
	return nil
}
