package nodes

import (
	"strings"
	"testing"
	"time"
)

// There is a row for each node and each target, and what is missing is below. Texts of other
// nodes are on one line, and move no cursor.
func TestWriteText(t *testing.T) {
	until := time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC)
	f := &Fleet{
		ID: "0123", Node: "mx1", Seat: "mx1",
		Nodes: []Node{
			{Name: "mx1", Alive: true, Version: "v1.0.0", Orders: true, Seated: true},
			{Name: "mx2", Alive: true, Version: "v1\n\x1b[2J", Clock: 90},
			{Name: "web", Away: 60, Behind: 1},
		},
		Targets: []Release{
			{Name: "a", Serial: 7, Stage: Wave, Wave: 2, NotAfter: until, Verified: []string{"mx1"}, Missing: []Missing{{"mx2", true, 1, "reload\nfailed\u202e"}, {"web", false, 0, ""}}},
			{Name: "b", Serial: 1, Stage: All, NotAfter: until, Verified: []string{"mx1"}, Missing: []Missing{{Node: "web", Allowed: true}}},
			{Name: "c", Serial: 3, Stage: Held, Wave: 1, NotAfter: until, Held: "asked for", Verified: []string{}},
			{Name: "d", Stage: None, Missing: []Missing{{Node: "mx1"}}},
		},
	}
	var b strings.Builder
	if err := f.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := `fleet 0123: node mx1 orders

NODE  STATE          VERSION  CLOCK  BEHIND
mx1   alive, orders  v1.0.0   +0s    0
mx2   alive          v1       +90s   0
web   away for 1m    -        +0s    1

TARGET  RELEASE  STAGE   VERIFIED  UNTIL
a       7        wave 2  1/3       2026-12-24
b       1        all     1/2       2026-12-24
c       3        held 1  0/0       2026-12-24
d       0        none    0/1       -
a: mx2 failed 1 time: reload failed�
a: web waits for its wave
b: web has not verified it yet
c: held: asked for; to go on: keypaird fleet go c
`
	trim := func(s string) (lines string) {
		for line := range strings.Lines(s) {
			lines += strings.TrimRight(line, " \n") + "\n"
		}
		return lines
	}
	if got := trim(b.String()); got != trim(want) {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	f.ID, f.Seat, f.Error, f.Remedy, f.Since = "", "", "no route", "start etcd", until
	b.Reset()
	if err := f.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); !strings.HasPrefix(got, "fleet not known yet: it is not known which node orders\nthe engine cannot be used since 2026-12-24 00:00 UTC: no route\nremedy: start etcd\n\nNODE") {
		t.Errorf("%s", got)
	}
}
