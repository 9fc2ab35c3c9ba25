package command

import (
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"keypaird/renew/textfmt"
)

// Values of KEYPAIRD_EVENT.
const (
	EventDeploy    = "deploy"    // new pairs are in place
	EventRollback  = "rollback"  // previous pairs are in place again
	EventFailing   = "failing"   // the operator must act
	EventExpiring  = "expiring"  // a live certificate ends soon
	EventRecovered = "recovered" // no longer failing
)

// MaxNames bounds the length of KEYPAIRD_NAMES. Linux limits a variable to 128 KiB,
// and NetBSD all variables and arguments together to 256 KiB.
const MaxNames = 100 << 10

// An Event is the environment of a command. A field that is zero sets no variable.
type Event struct {
	Kind string // KEYPAIRD_EVENT
	// KEYPAIRD_NAMES: the targets, separated by spaces. Those beyond MaxNames bytes
	// are omitted, and KEYPAIRD_MORE is their number; else it is not set.
	Names []string

	// For one target only:
	Name        string    // KEYPAIRD_NAME
	Dir         string    // KEYPAIRD_DIR, of the version, and with it KEYPAIRD_FULLCHAIN and KEYPAIRD_KEY
	Fingerprint string    // KEYPAIRD_FINGERPRINT
	NotAfter    time.Time // KEYPAIRD_NOT_AFTER, RFC 3339 in UTC

	Error  string // KEYPAIRD_ERROR, made one line
	Remedy string // KEYPAIRD_REMEDY, likewise
}

// prefix is that of all variables of an Event.
const prefix = "KEYPAIRD_"

// variables are those of an Event, without the prefix. A program that a command runs may
// be keypaird, which has others.
var variables = []string{"EVENT", "NAMES", "MORE", "NAME", "DIR", "FULLCHAIN", "KEY", "FINGERPRINT", "NOT_AFTER", "ERROR", "REMEDY"}

// environ returns the whole environment of a command.
func (ev Event) environ() []string {
	env := []string{"PATH=" + Path, "LANG=C"}
	set := func(name, value string) {
		if value = oneValue(value); value != "" {
			env = append(env, prefix+name+"="+value)
		}
	}
	set("EVENT", ev.Kind)
	names, more := ev.names()
	set("NAMES", names)
	if more > 0 {
		set("MORE", strconv.Itoa(more))
	}
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
	set("ERROR", textfmt.OneLine(ev.Error, maxLine))
	set("REMEDY", textfmt.OneLine(ev.Remedy, maxLine))
	return env
}

// names joins the first names within MaxNames bytes, and returns how many more there
// are.
func (ev Event) names() (value string, more int) {
	length := -1 // there is no space before the first
	for i, name := range ev.Names {
		if length += 1 + len(name); length > MaxNames {
			return strings.Join(ev.Names[:i], " "), len(ev.Names) - i
		}
	}
	return strings.Join(ev.Names, " "), 0
}

// oneValue removes NUL, which would end a variable.
func oneValue(s string) string { return strings.ReplaceAll(s, "\x00", "") }
