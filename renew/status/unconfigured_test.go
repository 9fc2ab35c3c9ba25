package status

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keypaird/renew"
	"keypaird/renew/unconfigured"
)

// What is no longer configured is shown wherever the state is, and is not unhealthy.
func TestUnconfigured(t *testing.T) {
	d := &desk{t: t, store: open(t)}
	d.add("fine", 1, fine, pair(t, 10*aDay, "R10", "fine.example"))
	configured := d.targets
	file := filepath.Join(t.TempDir(), "ends-soon.pem")
	files := func(fps []string) renew.Record {
		r := deployed(fps[0])
		r.Deployments = map[string]renew.Deployment{"relayd": {Deployed: fps[0], Files: []string{file}}}
		return r
	}
	soon := pair(t, 80*aDay, "R10\x1b", "ends-soon.example")
	d.add("ends-soon", 1, files, soon)
	must(t, os.WriteFile(file, soon.FullChain(), 0o600))
	d.add("gone", 1, files, pair(t, 80*aDay, "R10", "gone.example"))
	d.add("read-from-the-store", 1, fine, pair(t, 10*aDay, "R10", "store.example"))
	d.targets = configured
	src := d.source()
	src.Unconfigured = func() ([]unconfigured.Certificate, error) { return unconfigured.Find(d.store, configured) }
	doc, err := Collect(src, now)
	must(t, err)
	if !doc.Healthy || len(doc.Unconfigured) != 2 {
		t.Fatalf("healthy %t, not configured %+v; want two", doc.Healthy, doc.Unconfigured)
	}

	data, err := json.Marshal(doc)
	must(t, err)
	var parsed any
	must(t, json.Unmarshal(data, &parsed))
	s := readSchema(t)
	for _, wrong := range s.check(s, "document", parsed) {
		t.Error(wrong)
	}

	var text bytes.Buffer
	must(t, doc.WriteText(&text))
	live := filepath.Join(d.store.Dir("read-from-the-store"), "live")
	where := []string{
		"not configured any more, not renewed, still deployed at " + file + ", ends 2026-03-11 12:00Z",
		"not configured any more, not renewed, still stored in " + live + ", ends 2026-05-20 12:00Z",
	}
	for _, want := range append(where, "action required for 1 of 2 certificates; 2 not configured any more\n", "\nends-soon\n  action required: ",
		"remedy: configure it again, or let the servers use another certificate, then: keypaird forget -files ends-soon") {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, &text)
		}
	}
	if strings.Contains(text.String(), "\x1b") {
		t.Error("an issuer steers the terminal")
	}
	page := get(t, serving(doc), "/")
	for _, want := range append(where, "Not configured any more (2)", `<p class="summary bad">`) {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in the page\n%s", want, page)
		}
	}
	metrics := get(t, serving(doc), "/metrics")
	for _, want := range []string{
		`keypaird_unconfigured_action_required{target="ends-soon"} 1`, `keypaird_unconfigured_action_required{target="read-from-the-store"} 0`,
		`keypaird_unconfigured_files{target="ends-soon"} 1`, `keypaird_unconfigured_certificate_not_after_timestamp_seconds{target="ends-soon"} 1.7732304e+09`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("%q is not in the metrics", want)
		}
	}
}
