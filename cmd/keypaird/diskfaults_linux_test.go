//go:build amd64 || arm64

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"keypaird/renew/testutil"
)

// try is one issue while a fault lasts.
func (d *disk) try(f fault) (out string, status, hits int) {
	d.Helper()
	cmd, text := d.command("issue")
	s := sabotage(d.T, d.dir, cmd, f, strings.Fields(f.calls)...)
	err := s.wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.Fatal(err)
	}
	return strings.ReplaceAll(text.String(), d.dir+"/", ""), cmd.ProcessState.ExitCode(), s.set(fault{})
}

// A sight is what there is of one name: in the proxy, in its files, in the
// store.
type sight struct{ served, deployed, live string }

// see looks at all that is served. It has to be whole.
func (d *disk) see(what string) map[string]sight {
	d.Helper()
	all := map[string]sight{}
	for _, name := range crashNames {
		err := testutil.Within(patience, func() (err error) { // an old worker of nginx may still accept
			if all[name], err = d.look(name); err == nil && all[name].served != all[name].deployed {
				err = errors.New("not what the files hold")
			}
			return err
		})
		if err != nil {
			d.Errorf("%s: %s: %v", what, name, err)
		}
	}
	return all
}

func (d *disk) look(name string) (s sight, err error) {
	for _, pair := range []struct {
		chain, key string
		into       *string
	}{
		{d.file("tls", name+".crt"), d.file("tls", name+".key"), &s.deployed},
		{d.file("state/certs", name, "live/fullchain.pem"), d.file("state/certs", name, "live/privkey.pem"), &s.live},
	} {
		if err := d.whole(pair.chain, pair.key); err != nil {
			return s, err
		}
		text, err := os.ReadFile(pair.chain)
		if err != nil {
			return s, err
		}
		*pair.into = certificate(string(text))
	}
	s.served, err = d.shows(name)
	return s, err
}

var complaint = regexp.MustCompile(`(?m)^keypaird: .*\n`)

// complaints checks that each is one line, and the next one says what to do.
func complaints(out, remedy string) error {
	lines := complaint.FindAllString(out, -1)
	if strings.Contains(out, "panic") || strings.Contains(out, "goroutine ") {
		return errors.New("it panicked")
	}
	found := remedy == ""
	for i, line := range lines {
		help, isHelp := strings.CutPrefix(line, "keypaird: remedy: ")
		if strings.HasPrefix(line, "keypaird: warning: ") {
			continue // what is wrong is an error
		}
		if !isHelp && (i+1 == len(lines) || !strings.HasPrefix(lines[i+1], "keypaird: remedy: ")) {
			return fmt.Errorf("no remedy for: %s", line)
		}
		found = found || isHelp && strings.Contains(help, remedy)
	}
	if !found {
		return fmt.Errorf("no remedy says %q", remedy)
	}
	return nil
}

// bear tries while a fault lasts, then without it.
func (d *disk) bear(tt trial) {
	d.Helper()
	d.want()
	before := d.see("before")
	fail := func(what string, err error, out string) {
		if err != nil {
			d.Fatalf("%s: %s: %v\n%s", tt.name, what, err, out)
		}
	}
	for n := range tries {
		out, status, hits := d.try(tt.fault)
		if hits == 0 && tt.proof {
			d.bear(tt)
			return
		}
		fails := tt.fails && !(tt.resumes && n > 0)
		if hits == 0 && n == 0 || fails != (status == 1) {
			d.Fatalf("%s: exit status %d after %d faults\n%s", tt.name, status, hits, out)
		}
		if fails {
			fail("while it lasts", complaints(out, tt.remedy), out)
		}
		d.unchanged(tt, before, out)
		d.bounded(tt, out)
	}
	d.renewed(tt, before, d.run(0, 2))
}

// unchanged checks that what is served is what was before, if it has to, and that
// there is nothing unfinished beside it.
func (d *disk) unchanged(tt trial, before map[string]sight, out string) {
	d.Helper()
	if placed, _ := d.ca.orders(); placed > 0 && !tt.orders {
		d.Fatalf("%s: %d orders\n%s", tt.name, placed, out)
	}
	for name, now := range d.see(tt.name) {
		if old := before[name]; !tt.new && now != old {
			d.Fatalf("%s: %s has changed: served %v, files %v, live %v\n%s", tt.name, name, now.served != old.served, now.deployed != old.deployed, now.live != old.live, out)
		}
	}
	if left, _ := filepath.Glob(d.file("tls/.*")); len(left) > 0 {
		d.Errorf("%s: left over: %v\n%s", tt.name, left, out)
	}
}

// renewed checks that all is well in the end: each name has a new pair, for one
// order.
func (d *disk) renewed(tt trial, before map[string]sight, out string) {
	d.Helper()
	d.bounded(tt, out)
	if placed, finalized := d.ca.orders(); finalized != len(crashNames) || placed < finalized {
		d.Errorf("%s: %d orders placed, %d finalized\n%s", tt.name, placed, finalized, out)
	}
	for name, now := range d.see(tt.name + ", over") {
		if now.served != now.live || now.live == before[name].live {
			d.Errorf("%s: in the end %s is not renewed\n%s", tt.name, name, out)
		}
	}
	d.over()
	if !tt.litters {
		d.swept(tt.name)
		return
	}
	for _, pattern := range []string{"state/http-01/*", "state/certs/*/pending", "state/certs/*/.*"} {
		left, _ := filepath.Glob(d.file(pattern))
		for _, path := range left {
			os.RemoveAll(path)
		}
	}
}

// bounded checks that the account is the one it always was, and that no order
// was lost: what was placed is kept, or there would be another.
func (d *disk) bounded(tt trial, out string) {
	d.Helper()
	most := len(crashNames)
	if tt.lost {
		most *= tries + 1
	}
	account, err := os.ReadFile(d.file("state/accounts/pebble/account.json"))
	if n := d.registered.Load(); err != nil || n != 1 || string(account) != d.account {
		d.Fatalf("%s: %d accounts registered, %v: %s, was %s\n%s", tt.name, n, err, account, d.account, out)
	}
	if placed, _ := d.ca.orders(); placed > most {
		d.Fatalf("%s: %d orders for %d names\n%s", tt.name, placed, len(crashNames), out)
	}
}
