package status

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"keypaird/renew"
	"keypaird/renew/backoff"
	"keypaird/renew/keypair"
)

// external is a target with an external certificate.
func external(name string) renew.Target {
	t := subject(name)
	t.Names, t.Challenges, t.KeyType, t.Issuers = nil, nil, "", []renew.Issuer{&renew.External{Source: files, Target: name}}
	return t
}

var files = keypair.Source{Chain: "/root/c.pem", Key: "/root/k.pem"}

// taken is the record of an external certificate that is in use everywhere: "m" are
// the files that were imported, "n" those that failed last, mark those of now.
func taken(mark string, last backoff.Attempt) func(fps []string) renew.Record {
	is := func(m string) string {
		if m == mark {
			return files.Mark()
		}
		return m
	}
	return func(fps []string) renew.Record {
		r := fine(fps)
		r.CA, r.Orders = renew.NameOfExternal, map[string]backoff.Attempt{renew.NameOfExternal: last}
		r.External = renew.Imported{Mark: is("m"), FailedMark: is("n")}
		return r
	}
}

// How external certificates are shown, and that the schema documents it.
func TestExternal(t *testing.T) {
	unusable := failed(3, "/root/k.pem: no such file or directory", "put it there")
	for _, tt := range []struct {
		name    string
		mark    string
		passed  time.Duration // of ninety days; 0: there is none
		last    backoff.Attempt
		state   string
		healthy bool
		needs   string // part of attention
		next    string
	}{
		{"fine", "m", aDay, backoff.Attempt{}, OK, true, "", "external: replace it before 2026-05-29 12:00Z"},
		{"long-in-use", "m", 70 * aDay, backoff.Attempt{}, OK, true, "", "external: replace it before 2026-03-21 12:00Z"},
		{"ends-soon", "m", 80 * aDay, backoff.Attempt{}, Due, false, "the external certificate in use expires 2026-03-11 12:00Z: write its successor to /root/c.pem", "external: replace it before 2026-03-11 12:00Z"},
		{"ends-soon-and-fails", "n", 80 * aDay, unusable, Failing, false, "; importing the present files failed", "wait until 2026-03-01 12:40Z: its files changed, but the last try failed"},
		{"ended", "m", 91 * aDay, backoff.Attempt{}, Expired, false, "the external certificate in use expired 2026-02-28 12:00Z: write its successor", "import its files now: expired"},
		{"changed", "other", aDay, backoff.Attempt{}, Pending, true, "", "import its files now: its files changed"},
		{"fails", "n", 70 * aDay, unusable, Failing, true, "importing its files failed 3 times", "wait until 2026-03-01 12:40Z: its files changed, but the last try failed"},
		{"fails-once", "n", 70 * aDay, failed(1, "half", ""), Failing, true, "", "wait until"},
		{"failed-before", "m", aDay, unusable, OK, true, "", "external: replace it before"},
		{"never-seen", "m", 0, backoff.Attempt{}, Missing, false, "", "import its files now: no certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &desk{t: t, store: open(t)}
			if tt.passed > 0 {
				d.addTarget(external(tt.name), 1, taken(tt.mark, tt.last), pair(t, tt.passed, "Shop", tt.name+".example"))
			} else {
				d.addTarget(external(tt.name), 0, nil)
			}
			doc, err := Collect(d.source(), now)
			must(t, err)
			got := doc.Targets[0]
			if got.State != tt.state || doc.Healthy != tt.healthy || !strings.HasPrefix(got.next(), tt.next) {
				t.Errorf("%s, healthy %v, %q; want %s, %v, %q", got.State, doc.Healthy, got.next(), tt.state, tt.healthy, tt.next)
			}
			if (tt.needs == "") != (got.ActionRequired == "") || !strings.Contains(got.ActionRequired, tt.needs) {
				t.Errorf("action required: %q, want %q", got.ActionRequired, tt.needs)
			}
			if got.Due != nil || got.Order != nil || len(got.Orders)+len(got.SignWith) > 0 {
				t.Errorf("orders are told of: %+v", got)
			}
			shown(t, doc)
		})
	}
}

// shown checks the forms in which a document with external certificates is shown.
func shown(t *testing.T, doc Document) {
	t.Helper()
	data, err := json.Marshal(doc)
	must(t, err)
	var v any
	must(t, json.Unmarshal(data, &v))
	s := readSchema(t)
	for _, wrong := range s.check(s, "$", v) {
		t.Error(wrong)
	}
	var text bytes.Buffer
	must(t, doc.WriteText(&text))
	page, err := newPageTemplate().write("", "", doc)
	must(t, err)
	for _, form := range []string{text.String(), string(page)} {
		if !strings.Contains(form, "/root/c.pem") || strings.Contains(form, "by external") || strings.Contains(form, "<dt>CAs</dt>") || strings.Contains(form, "order at") || strings.Contains(form, "ordered") {
			t.Errorf("it is shown as one that is ordered:\n%s", form)
		}
		if f := doc.Targets[0].External.Failure; f != nil && !strings.Contains(form, f.Error) {
			t.Errorf("%q is missing:\n%s", f.Error, form)
		}
	}
}
