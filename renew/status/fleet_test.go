package status

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"keypaird/renew/status/nodes"
)

// fleetOfThree is a fleet with a release in each stage, as the node mx1 sees it.
func fleetOfThree() *nodes.Fleet {
	fingerprint := strings.Repeat("0123456789abcdef", 4)
	return &nodes.Fleet{
		ID: fingerprint[:32], Node: "mx1", Seat: "mx2",
		Nodes: []nodes.Node{
			{Name: "mx1", Alive: true, Version: "v1.0.0", Orders: true},
			{Name: "mx2", Alive: true, Version: "v1.0.1", Clock: -2, Orders: true, Seated: true},
			{Name: "web.example.org", Away: 150, Behind: 1},
		},
		Targets: []nodes.Release{
			{Name: "example.org", Serial: 7, Stage: nodes.All, Fingerprint: fingerprint, NotAfter: now, Verified: []string{"mx1", "mx2"}, Missing: []nodes.Missing{{Node: "web.example.org", Allowed: true}}},
			{Name: "held.example", Serial: 2, Stage: nodes.Held, Wave: 1, Held: "mx1 failed 3 times", Fingerprint: fingerprint, NotAfter: now, Verified: []string{}, Missing: []nodes.Missing{{Node: "mx1", Allowed: true, Failures: 3, Error: "<b>reload</b>: exit status 1"}, {Node: "mx2"}}},
			{Name: "new.example", Stage: nodes.None, Verified: []string{}, Missing: []nodes.Missing{{Node: "mx1"}}},
			{Name: "served.example", Serial: 1, Stage: nodes.All, Fingerprint: fingerprint, NotAfter: now, Verified: []string{"mx1"}, Missing: []nodes.Missing{}},
		},
	}
}

// The page has a section for the fleet, if there is one, with a row for each node and each
// target, and says what is missing.
func TestFleetOnPage(t *testing.T) {
	doc := newDesk(t).document()
	if page := get(t, serving(doc), "/"); strings.Contains(page, "<h2 id=\"fleet\">") {
		t.Error("without a fleet the page has a section for one")
	}
	if metrics := get(t, serving(doc), "/metrics"); strings.Contains(metrics, "keypaird_fleet_") {
		t.Error("without a fleet there are metrics of one")
	}
	doc.Fleet = fleetOfThree()
	shown := text(parse(t, get(t, serving(doc), "/")))
	for _, want := range []string{
		"node mx2 orders", "mx2 ✓ alive, orders clock -2s v1.0.1", "web.example.org … away for 2m30s , 1 behind",
		"example.org … release 7, stage all, verified 2/3", "web.example.org has not verified it yet",
		"held.example ✕ release 2, stage held 1, verified 0/2", "held: mx1 failed 3 times; to go on: keypaird fleet go held.example",
		"mx1 failed 3 times: <b>reload</b>: exit status 1", "mx2 waits for its wave", "new.example … no release", "1 verified by all nodes",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("the page lacks %q:\n%s", want, shown)
		}
	}
	doc.Fleet.Error, doc.Fleet.Remedy, doc.Fleet.Since, doc.Fleet.Partial = "connection refused", "start etcd", now, true
	shown = text(parse(t, get(t, serving(doc), "/")))
	for _, want := range []string{"the engine cannot be used since", "connection refused Remedy: start etcd", "This node may not order"} {
		if !strings.Contains(shown, want) {
			t.Errorf("the page lacks %q:\n%s", want, shown)
		}
	}
}

// schema.json describes the part of the fleet, too.
func TestFleetInSchema(t *testing.T) {
	s := readSchema(t)
	data, err := json.Marshal(fleetOfThree())
	must(t, err)
	var doc any
	must(t, json.Unmarshal(data, &doc))
	for _, wrong := range s.Defs["Fleet"].check(s, "fleet", doc) {
		t.Error(wrong)
	}
	if got := strings.Join(s.Defs["Release"].Properties["stage"].Enum, " "); got != strings.Join([]string{nodes.None, nodes.Wave, nodes.Held, nodes.All}, " ") {
		t.Errorf("stages %s", got)
	}
}

// The fleet on the page, on a phone and on a desk.
func TestFleetScreenshots(t *testing.T) {
	doc := only(newDesk(t).document(), "advised")
	doc.Fleet = fleetOfThree()
	light, _ := colours(t)
	for name, size := range map[string][2]int{"fleet-phone": {390, 1400}, "fleet-desk": {1280, 1100}} {
		srv := httptest.NewServer(serving(doc))
		seen := points(photograph(t, srv.URL, name, size[0], size[1]))
		srv.Close()
		for _, mark := range []string{"background", "card", "good", "busy", "bad"} {
			if seen[light[mark]] < 20 {
				t.Errorf("%s: %d points of the colour %q", name, seen[light[mark]], mark)
			}
		}
	}
}
