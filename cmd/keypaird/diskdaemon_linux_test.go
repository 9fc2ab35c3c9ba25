//go:build amd64 || arm64

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"
	"time"

	"keypaird/renew/durable"
)

// A patient is a daemon whose system calls may fail.
type patient struct {
	*disk
	*saboteur
	log *journal
}

// startDaemon starts a daemon.
func (d *disk) startDaemon() *patient {
	d.Helper()
	p := &patient{disk: d, log: new(journal)}
	cmd, _ := d.command("run", "-v")
	cmd.Stdout, cmd.Stderr = p.log, p.log
	p.saboteur = sabotage(d.T, d.world.dir, cmd, fault{})
	d.over = func() {} // what another process does has the daemon make a pass more
	return p
}

// end has it end by itself: it leaves nothing to do.
func (p *patient) end() {
	p.Helper()
	p.cmd.Process.Signal(syscall.SIGTERM)
	if err := p.saboteur.wait(); err != nil {
		p.Errorf("%v\n%s", err, p.log)
	}
	p.run(2)
}

// looks has it look, by what do does, and returns what it said of that.
func (p *patient) looks(do func()) string {
	p.Helper()
	const ended = " next=20" // of "pass finished" and "pass skipped"
	before := p.log.String()
	do()
	p.log.says(p.T, strings.Count(before, ended)+1, ended)
	return strings.ReplaceAll(p.log.String()[len(before):], p.world.dir+"/", "")
}

func (p *patient) signal(s syscall.Signal) func() {
	return func() { p.cmd.Process.Signal(s) }
}

// renew has it see that new certificates are wanted, with something wrong from
// the beginning of its pass: the lock holds that up.
func (p *patient) renew(wrong func()) string {
	p.Helper()
	p.log.says(p.T, 1, `msg="pass finished"`)
	ctx, cancel := context.WithTimeout(p.Context(), patience)
	defer cancel()
	lock, err := durable.AcquireLock(ctx, p.file("state/lock"), nil)
	if err != nil {
		p.Fatal(err)
	}
	p.want()
	const adopted = `msg="configuration reloaded"`
	n := strings.Count(p.log.String(), adopted)
	p.signal(syscall.SIGHUP)()
	p.log.says(p.T, n+1, adopted)
	return p.looks(func() {
		wrong() // it may even have no lock to wait for any more
		lock.Release()
	})
}

// recover has it do what waits for a backoff.
func (p *patient) recover() string {
	p.Helper()
	out := p.looks(p.signal(syscall.SIGUSR1)) // what could not be written is written
	next := regexp.MustCompile(`"next": *"20[^"]+"`)
	for _, name := range crashNames {
		path := p.file("state/certs", name, "record.json")
		text, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, next.ReplaceAll(text, []byte(`"next": "2026-01-01T00:00:00Z"`)), 0o600)
		}
		if err != nil {
			p.Fatalf("%v\n%s", err, out)
		}
	}
	return out + p.looks(p.signal(syscall.SIGUSR1))
}

// said checks that the log tells of a failure, in one line and with a remedy.
func said(out, remedy string) error {
	if strings.Contains(out, "panic") {
		return errors.New("it panicked")
	}
	found := false
	for _, line := range strings.Split(out, "\n") {
		if !strings.Contains(line, "level=ERROR") || strings.Contains(line, `msg="state not read"`) { // of the page
			continue
		}
		if strings.Contains(line, `remedy=""`) || !strings.Contains(line, "remedy=") {
			return fmt.Errorf("no remedy for %s", line)
		}
		found = found || strings.Contains(line, remedy)
	}
	if !found {
		return fmt.Errorf("no remedy says %q", remedy)
	}
	return nil
}

// answers asks for its page, whatever that says.
func (p *patient) answers(what string) {
	p.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := client.Get("http://" + p.vars["PAGE"] + "/healthz")
	if err != nil {
		p.Fatalf("%s: %v\n%s", what, err, p.log)
	}
	resp.Body.Close()
}

// bear is a pass with a fault, one more, and then one without it.
func (p *patient) bear(tt trial) {
	p.Helper()
	before := p.see("before")
	out := p.renew(func() {
		p.set(tt.fault)
		for began := time.Now(); tt.atLock && p.count() == 0 && time.Since(began) < patience; {
			time.Sleep(time.Millisecond) // else it may have opened the lock before, and takes it
		}
	})
	if tt.proof && p.count() == 0 {
		p.set(fault{})
		p.bear(tt)
		return
	}
	for again := range tries {
		if again > 0 {
			out += p.looks(p.signal(syscall.SIGUSR1))
		}
		if tt.fails {
			if err := said(out, tt.remedy); err != nil {
				p.Fatalf("%s: %v\n%s", tt.name, err, out)
			}
		}
		p.unchanged(tt, before, out)
		p.bounded(tt, out)
		p.answers(tt.name)
	}
	if hits := p.set(fault{}); hits == 0 {
		p.Fatalf("%s: no fault\n%s", tt.name, out)
	}
	out += p.recover()
	p.renewed(tt, before, out)
	if !strings.Contains(out[strings.LastIndex(out, `msg="pass finished"`):], "failing=0 ") {
		p.Errorf("%s: still failing\n%s", tt.name, out)
	}
}
