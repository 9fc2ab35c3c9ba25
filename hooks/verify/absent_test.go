package verify

import (
	"testing"

	"keypaird/renew/seen"
)

// An endpoint need not serve every name, but one of each target that it served before.
func TestWarnNotServed(t *testing.T) {
	row := func(target, endpoint, name string, result Result, unknown absence) Check {
		r := Check{Target: target, Deployment: "proxy", Endpoint: endpoint, Name: name, Error: "x", unknown: unknown}
		r.setResult(result)
		return r
	}
	const xmpp, web = "127.0.0.1:5269", "127.0.0.1:443"
	for _, tt := range []struct {
		name string
		seen string // of the first row
		rows []Check
		want Result // of the first row
	}{
		{"host-unknown, beside a name that is served", seen.Served,
			[]Check{row("plain", xmpp, "muc", Failed, disowned), row("plain", xmpp, "plain", OK, present)}, Warning},
		{"host-unknown, and another target is served there", "",
			[]Check{row("host", xmpp, "host", Failed, disowned), row("plain", xmpp, "plain", OK, present)}, Warning},
		{"a server block that was taken away", seen.Served,
			[]Check{row("host", web, "host", Failed, disowned), row("plain", web, "plain", OK, present)}, Failed},
		{"no name is served there", "",
			[]Check{row("host", xmpp, "host", Failed, disowned), row("host", web, "host", OK, present)}, Failed},
		{"verified alone, and absent when it was deployed", seen.Absent,
			[]Check{row("host", xmpp, "host", Failed, disowned)}, Warning},
		{"a wildcard of another target, and it is served at another endpoint", "",
			[]Check{row("host", xmpp, "host", Failed, foreign), row("plain", xmpp, "plain", OK, present), row("host", web, "host", OK, present)}, Warning},
		{"a wildcard of another target, and no endpoint serves it", "",
			[]Check{row("host", xmpp, "host", Failed, foreign), row("plain", xmpp, "plain", OK, present)}, Failed},
		{"the previous pair", "",
			[]Check{row("host", web, "host", Failed, present), row("host", web, "www", OK, present)}, Failed},
		{"down", "",
			[]Check{row("host", web, "host", Failed, present), row("host", xmpp, "host", OK, present)}, Failed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			warnNotServed(tt.rows, func(Check) string { return tt.seen })
			if got := tt.rows[0]; got.Result != tt.want || got.OK != (tt.want != Failed) {
				t.Errorf("%s (%s), want %s", got.Result, got.Error, tt.want)
			}
			if failed := Err(append(tt.rows, Check{Result: OK, Shown: &Certificate{}})) != nil; failed != (tt.want == Failed) {
				t.Errorf("an error of the command: %v", failed)
			}
		})
	}
}
