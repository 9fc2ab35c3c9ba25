package keypair

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keypaird/renew/durable"
	"keypaird/renew/problem"
)

func TestNames(t *testing.T) {
	long := strings.Repeat("a", 253)
	for _, tt := range []struct{ name, dir, why string }{
		{"example.org", "example.org", ""},
		{"*.example.org", "_wildcard.example.org", ""},
		{"mail_1-2.x", "mail_1-2.x", ""},
		{long, long, ""},
		{"", "", "is empty"},
		{"*.", "", "is empty"},
		{".", "", "begins with a dot"},
		{"..", "", "begins with a dot"},
		{"../etc", "", "begins with a dot"},
		{"*...", "", "begins with a dot"},
		{"a..b", "", `contains ".."`},
		{"a/b", "", "contains '/'"},
		{"/etc", "", "contains '/'"},
		{`a\b`, "", `contains '\\'`},
		{"a\x00", "", `contains '\x00'`},
		{"a\n", "", `contains '\n'`},
		{"Example.org", "", "contains 'E'"},
		{"ex ample", "", "contains ' '"},
		{"exämple.org", "", "contains 'ä'"},
		{"*", "", "contains '*'"},
		{"*.*.example.org", "", "contains '*'"},
		{"a.*.example.org", "", "contains '*'"},
		{"_wildcard.example.org", "", "wildcard"},
		{long + "a", "", "longer than 253"},
		{"*." + long[2:], "", "too long for a wildcard"},
	} {
		s := &Store{new(durable.Dir).As("/certs")}
		err := CheckName(tt.name)
		if tt.why == "" {
			if err != nil || s.Dir(tt.name) != "/certs/"+tt.dir {
				t.Errorf("%q: %v, %s, want %s", tt.name, err, s.Dir(tt.name), tt.dir)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.why) || problem.Remedy(err) == "" {
			t.Errorf("%q: %v, want %q", tt.name, err, tt.why)
		}
		if s.Dir(tt.name) != "/certs/.refused" {
			t.Errorf("Dir(%q) = %s", tt.name, s.Dir(tt.name))
		}
	}
}

func TestBadNamesReachNoFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "state"))
	p := newCA(t).pair(t, name)
	for _, bad := range []string{"", "..", "../x", "a/../../x", "/tmp/x", "a\x00b"} {
		for call, err := range map[string]error{
			"Add":       second(s.Add(bad, p)),
			"Live":      second(s.Live(bad)),
			"Newest":    second(s.Newest(bad)),
			"Find":      second(s.Find(bad, "00")),
			"SetLive":   s.SetLive(bad, Version{ID: "v000001"}),
			"Prune":     s.Prune(bad),
			"Tidy":      s.Tidy(bad),
			"ReadFile":  second(s.ReadFile(bad, "record.json")),
			"WriteFile": s.WriteFile(bad, "record.json", nil),
			"RemoveAll": s.RemoveAll(bad, "pending"),
		} {
			if !strings.HasPrefix(problem.Remedy(err), "use lower-case letters") {
				t.Errorf("%s(%q): %v, want that the name is refused", call, bad, err)
			}
		}
	}
	add(t, s, name, p)
	for _, bad := range []string{"", ".", "..", "../x", "/etc/passwd", "pending/../../x", "a/b/c", "pending/", "/x", "live", "live/x", "v000001", "v000001/privkey.pem", ".tmp-x", "pending/.x"} {
		for call, err := range map[string]error{
			"ReadFile":  second(s.ReadFile(name, bad)),
			"WriteFile": s.WriteFile(name, bad, nil),
			"RemoveAll": s.RemoveAll(name, bad),
		} {
			if !strings.HasPrefix(problem.Remedy(err), "use lower-case letters") {
				t.Errorf("%s(%q, %q): %v, want that the name is refused", call, name, bad, err)
			}
		}
	}
	for _, id := range []string{"", "live", "../v000001", "v1", "v0000001", "v000000", "v-00001", "v+00001"} {
		if err := s.SetLive(name, Version{ID: id}); err == nil {
			t.Errorf("SetLive(%q) was accepted", id)
		}
	}
	if got := entries(t, dir); !slices.Equal(got, []string{"state"}) {
		t.Errorf("outside of the store: %q", got)
	}
}
