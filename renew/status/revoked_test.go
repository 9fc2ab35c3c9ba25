package status

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"keypaird/renew"
)

// A revoked certificate in use is due, overdue and a matter for the operator, in text, JSON
// and metrics, and on the page; after a failure, that is shown, too.
func TestRevoked(t *testing.T) {
	d := &desk{t: t, store: open(t)}
	revoked := func(r renew.Record) renew.Record {
		r.SetRevoked(r.Fingerprint, now.Add(-time.Hour))
		return r
	}
	d.add("revoked", 1, func(fps []string) renew.Record { return revoked(fine(fps)) }, pair(t, aDay, "R10", "revoked.example"))
	d.add("failing", 1, func(fps []string) renew.Record {
		r := revoked(fine(fps))
		r.Orders = orders(failed(1, "down", "wait"))
		return r
	}, pair(t, aDay, "R10", "failing.example"))
	doc := d.document()
	const text = "the certificate in use was revoked at 2026-03-01 11:00Z"
	for name, want := range map[string]Target{
		"revoked": {State: Due, ActionRequired: text},
		"failing": {State: Failing, ActionRequired: text + ": obtaining from letsencrypt failed once"},
	} {
		for _, got := range doc.Targets {
			if got.Name == name && (got.State != want.State || got.ActionRequired != want.ActionRequired || !got.OverdueAt.Equal(now.Add(-time.Hour))) {
				t.Errorf("%s: %s, %q, overdue at %v", name, got.State, got.ActionRequired, got.OverdueAt)
			}
		}
	}
	if doc.Healthy {
		t.Error("healthy")
	}
	var out bytes.Buffer
	must(t, doc.WriteText(&out))
	page, err := newPageTemplate().write("m", "", doc)
	must(t, err)
	body, err := json.Marshal(doc)
	must(t, err)
	for text, want := range map[string]string{
		out.String():  "  revoked at 2026-03-01 11:00Z: clients that check this refuse it\n  remedy: replace it and its key, as the daemon does when it may order: keypaird issue revoked\n",
		string(page):  "Revoked at 2026-03-01 11:00 UTC: clients that check this refuse it.<p><b>Remedy:</b> replace it",
		string(body):  `"revoked":"2026-03-01T11:00:00Z"`,
		doc.Summary(): "action required for 2 of 2 certificates",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	var v any
	must(t, json.Unmarshal(body, &v))
	s := readSchema(t)
	for _, wrong := range s.check(s, "", v) {
		t.Error(wrong)
	}
}
