package hooks

import (
	"path/filepath"
	"strings"
	"time"
)

// What a command is run for, in KEYPAIRD_EVENT.
const (
	EventDeploy    = "deploy"    // new pairs are in place
	EventRollback  = "rollback"  // previous pairs are in place again
	EventFailing   = "failing"   // something needs a person
	EventExpiring  = "expiring"  // a live certificate ends soon
	EventRecovered = "recovered" // what was failing is not any more
)

// An Event is what a command is told, through its environment. A field that is
// zero sets no variable.
type Event struct {
	Kind  string   // KEYPAIRD_EVENT
	Names []string // KEYPAIRD_NAMES: the targets, separated by spaces

	// When it is about one target:
	Name        string    // KEYPAIRD_NAME
	Dir         string    // KEYPAIRD_DIR, of the version, and with it KEYPAIRD_FULLCHAIN and KEYPAIRD_KEY
	Fingerprint string    // KEYPAIRD_FINGERPRINT
	NotAfter    time.Time // KEYPAIRD_NOT_AFTER, RFC 3339 in UTC

	Error  string // KEYPAIRD_ERROR, made one line
	Remedy string // KEYPAIRD_REMEDY, likewise
}

// environ writes the whole environment of a command.
func (ev Event) environ() []string {
	env := []string{"PATH=" + Path, "LANG=C"}
	set := func(name, value string) {
		if value = oneValue(value); value != "" {
			env = append(env, "KEYPAIRD_"+name+"="+value)
		}
	}
	set("EVENT", ev.Kind)
	set("NAMES", strings.Join(ev.Names, " "))
	set("NAME", ev.Name)
	if ev.Dir != "" {
		set("DIR", ev.Dir)
		set("FULLCHAIN", filepath.Join(ev.Dir, "fullchain.pem"))
		set("KEY", filepath.Join(ev.Dir, "privkey.pem"))
	}
	set("FINGERPRINT", ev.Fingerprint)
	if !ev.NotAfter.IsZero() {
		set("NOT_AFTER", ev.NotAfter.UTC().Format(time.RFC3339))
	}
	set("ERROR", oneLine(ev.Error))
	set("REMEDY", oneLine(ev.Remedy))
	return env
}

// oneValue drops the one character that ends a variable early.
func oneValue(s string) string { return strings.ReplaceAll(s, "\x00", "") }
