package status

import (
	"strings"
	"testing"
	"time"
)

// Text and page call a stand-in by its name.
func TestStandIn(t *testing.T) {
	doc := Document{Time: time.Now(), Targets: []Target{{
		Name: "a", State: Missing, StandIn: &StandIn{NotAfter: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Files: []string{"/etc/haproxy/certs/a.pem"}},
	}}}
	var text strings.Builder
	if err := doc.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	page, err := newPageTemplate().write("", "", doc)
	if err != nil {
		t.Fatal(err)
	}
	for what, got := range map[string]string{"text": text.String(), "page": string(page)} {
		if !strings.Contains(strings.ToLower(got), "stand-in") || !strings.Contains(got, "/etc/haproxy/certs/a.pem") {
			t.Errorf("the %s says nothing of it:\n%s", what, got)
		}
	}
}
