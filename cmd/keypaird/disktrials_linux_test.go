//go:build amd64 || arm64

package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// A trial is a fault that lasts for some runs of "keypaird issue".
type trial struct {
	name    string
	fault   fault
	fails   bool   // the command does
	orders  bool   // some may be placed while it lasts
	new     bool   // what is served may be the new pair
	remedy  string // part of one
	lost    bool   // an order of each try may be: it is placed, and then cannot be kept
	resumes bool   // the next try completes what this one began
	litters bool   // unfinished files stay for the next order
	daemon  bool   // one is tried too, with what it remembers and goes on with
	proof   bool   // matters only where a name is proven, which Pebble leaves out once in a hundred
	atLock  bool   // is met while the lock of the state is waited for
}

// tries is how often a fault is met before it is over.
const tries = 2

func about(calls string, err syscall.Errno, files string) fault {
	return fault{calls, err, regexp.MustCompile(files)}
}

const (
	full, broken, readOnly, tooMany = syscall.ENOSPC, syscall.EIO, syscall.EROFS, syscall.EMFILE

	change = "create write mkdir rename symlink remove fsync"
	grow   = "create write mkdir symlink" // what needs room
	room   = "free some space for "
	kernel = "look at the kernel's messages about the disk of "
	mount  = "mount the file system of "
	limit  = "let this have more files open"

	ofTarget = `^state/certs/[^/]+/`
)

// stateTrials are about the whole state directory, or one of the files that keep
// orders from being placed again and again.
func stateTrials() []trial {
	return []trial{
		{name: "state is full", fault: about(grow, full, "^state"), fails: true, remedy: room, daemon: true},
		{name: "state is read-only", fault: about(change, readOnly, "^state"), fails: true, remedy: mount, daemon: true},
		{name: "nothing can be written to state", fault: about("write", broken, "^state"), fails: true, remedy: kernel},
		{name: "nothing in state becomes durable", fault: about("fsync", broken, "^state"), orders: true, lost: true, fails: true, remedy: kernel, daemon: true},
		{name: "nothing in state can be renamed", fault: about("rename", broken, "^state"), orders: true, lost: true, fails: true, remedy: kernel},
		{name: "nothing in state can be read", fault: about("read", broken, "^state"), fails: true, remedy: kernel, daemon: true},
		{name: "nothing in state can be looked at", fault: about("look", broken, "^state"), fails: true, remedy: kernel},
		{name: "nothing in state can be listed", fault: about("list", broken, "^state"), fails: true, remedy: kernel},
		{name: "nothing in state can be opened", fault: about("open create", broken, "^state"), fails: true, remedy: kernel},
		{name: "nothing in state can be removed", fault: about("remove", broken, "^state"), orders: true, new: true, litters: true, daemon: true},
		{name: "no lock", fault: about("create", broken, "^state/lock$"), atLock: true, fails: true, remedy: kernel, daemon: true},
		{name: "no room for the order log", fault: about("write", full, "^state/accounts/pebble/orders.log$"), fails: true, remedy: room, daemon: true},
		{name: "order log unreadable", fault: about("read", broken, "^state/accounts/pebble/orders.log$"), fails: true, remedy: kernel},
		{name: "account unreadable", fault: about("read", broken, "^state/accounts/pebble/account.json$"), fails: true, remedy: kernel},
		{name: "account's key cannot be opened", fault: about("open", broken, "^state/accounts/pebble/key.pem$"), fails: true, remedy: kernel},
	}
}

// targetTrials are about the files of one target.
func targetTrials() []trial {
	return []trial{
		{name: "no room for orders", fault: about(grow, full, ofTarget+"pending"), fails: true, remedy: room, daemon: true},
		{name: "orders cannot be written", fault: about("write", broken, ofTarget+"pending/[^/]+/order.json$"), fails: true, remedy: kernel},
		{name: "orders do not become durable", fault: about("fsync", broken, ofTarget+"pending"), orders: true, fails: true, resumes: true, new: true, remedy: kernel},
		{name: "orders cannot be read", fault: about("open read", broken, ofTarget+"pending/[^/]+/order.json$"), orders: true, new: true, litters: true},
		{name: "no room for records", fault: about(grow, full, ofTarget+`\.?record`), orders: true, fails: true, new: true, remedy: room, daemon: true},
		{name: "records do not become durable", fault: about("fsync", broken, ofTarget+`\.record`), orders: true, fails: true, new: true, remedy: kernel, daemon: true},
		{name: "records cannot be read", fault: about("read", broken, ofTarget+"record.json$"), fails: true, remedy: kernel},
		{name: "no room for versions", fault: about(grow, full, ofTarget+`\.tmp-v`), orders: true, fails: true, remedy: room},
		{name: "versions do not become durable", fault: about("fsync", broken, ofTarget+`\.tmp-v`), orders: true, fails: true, remedy: kernel},
		{name: "versions cannot be renamed", fault: about("rename", broken, ofTarget+"v0"), orders: true, fails: true, remedy: kernel},
		{name: "versions cannot be read", fault: about("read", broken, ofTarget+"v0"), fails: true, remedy: kernel},
		{name: "live cannot be made", fault: about("symlink", full, ofTarget), orders: true, fails: true, remedy: room},
		{name: "live cannot be switched", fault: about("rename", broken, ofTarget+"live$"), orders: true, fails: true, remedy: kernel, daemon: true},
		{name: "live cannot be read", fault: about("look", broken, ofTarget+"live$"), fails: true, remedy: kernel},
		{name: "no room for tokens", fault: about(grow, full, "^state/http-01"), orders: true, fails: true, new: true, proof: true, remedy: room, daemon: true},
		{name: "tokens cannot be read", fault: about("open read", broken, "^state/http-01/"), orders: true, fails: true, new: true, proof: true, remedy: kernel},
	}
}

// deployTrials are about the files of the proxy.
func deployTrials() []trial {
	return []trial{
		{name: "full", fault: about(grow, full, "^tls"), orders: true, fails: true, remedy: room, daemon: true},
		{name: "read-only", fault: about(change, readOnly, "^tls"), orders: true, fails: true, remedy: mount},
		{name: "nothing becomes durable", fault: about("fsync", broken, "^tls"), orders: true, fails: true, remedy: kernel},
		{name: "names do not become durable", fault: about("fsync", broken, "^tls$"), orders: true, fails: true, remedy: kernel, daemon: true},
		{name: "nothing can be renamed", fault: about("rename", broken, "^tls"), orders: true, fails: true, remedy: kernel},
		{name: "chains cannot be renamed, keys can", fault: about("rename", broken, `^tls/.*\.crt$`), orders: true, fails: true, remedy: kernel},
		{name: "one chain cannot be renamed, another target's pair can", fault: about("rename", broken, `^tls/matrix.*\.crt$`), orders: true, fails: true, remedy: kernel, daemon: true},
		{name: "keys cannot be renamed", fault: about("rename", broken, `^tls/.*\.key$`), orders: true, fails: true, remedy: kernel},
		{name: "nothing can be looked at", fault: about("look", broken, "^tls"), orders: true, fails: true, remedy: kernel},
		{name: "old pairs cannot be read", fault: about("open read", broken, `^tls/.*\.(crt|key)$`), orders: true, new: true},
		{name: "too many open files", fault: about("open create", tooMany, "^tls"), orders: true, fails: true, remedy: limit, daemon: true},
	}
}

// Each command says what is wrong, and exits 1.
func TestDiskFaults(t *testing.T) {
	t.Parallel()
	for name, trials := range map[string]func() []trial{"state": stateTrials, "target": targetTrials, "deploy": deployTrials} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !inNamespaces(t) {
				return
			}
			d := newDisk(t)
			d.issued()
			defer d.watched()()
			for _, tt := range trials() {
				d.bear(tt)
			}
		})
	}
}

// A daemon says so too, and lives.
func TestDiskFaultsOfDaemon(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	d := newDisk(t)
	d.issued()
	defer d.watched()()
	p := d.startDaemon()
	for _, tt := range slices.Concat(stateTrials(), targetTrials(), deployTrials()) {
		if tt.daemon {
			p.bear(tt)
		}
	}
	p.end()
}

// A first account whose files cannot be written is not registered again: its key
// is there before the CA knows of it.
func TestDiskFirstAccount(t *testing.T) {
	t.Parallel()
	if !inNamespaces(t) {
		return
	}
	d := newDisk(t)
	for _, f := range []fault{
		about("write", full, `^state/accounts/pebble/\.key`),
		about("rename", broken, `^state/accounts/pebble/key.pem$`),
		about("rename", broken, `^state/accounts/pebble/account.json$`),
		about("fsync", broken, `^state/accounts/pebble/\.account`),
		about("write", full, `^state/accounts/pebble/\.account`),
	} {
		for range 2 {
			out, status, hits := d.try(f)
			if status != 1 || hits == 0 || complaints(out, "") != nil {
				t.Errorf("%v: exit status %d, %v\n%s", f, status, complaints(out, ""), out)
			}
		}
	}
	key, err := os.ReadFile(d.file("state/accounts/pebble/key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	out := d.run(0)
	now, err := os.ReadFile(d.file("state/accounts/pebble/key.pem"))
	if err != nil || string(now) != string(key) || d.registered.Load() != 1 {
		t.Errorf("%d accounts registered, %v\n%s", d.registered.Load(), err, out)
	}
	if placed, finalized := d.ca.orders(); placed != len(crashNames) || finalized != placed || !strings.Contains(out, "msg=registered") {
		t.Errorf("%d orders placed, %d finalized\n%s", placed, finalized, out)
	}
}
