package engine

import (
	"strings"
	"testing"

	"keypaird/renew"
	"keypaird/renew/problem"
	"keypaird/renew/status"
)

func TestFind(t *testing.T) {
	e := &Engine{}
	for _, name := range []string{"a.example", "mail", "xn--bcher-kva.example"} {
		e.Subjects = append(e.Subjects, status.Subject{Target: renew.Target{Name: name}})
	}
	for _, tt := range []struct{ names, want string }{
		{"", "a.example mail xn--bcher-kva.example"},
		{"mail", "mail"},
		{"mail A.example.", "a.example mail"},
		{"mail mail", "mail"},
		{"bücher.example", "xn--bcher-kva.example"},
		{"mail B.example", `no target "b.example"`},
		{"a/b", `no target "a/b"`},
	} {
		subjects, err := e.Find(strings.Fields(tt.names))
		var got []string
		for _, s := range subjects {
			got = append(got, s.Name)
		}
		if err != nil {
			got = []string{err.Error()}
			if remedy := problem.Remedy(err); remedy != "the configuration has: a.example mail xn--bcher-kva.example" {
				t.Errorf("%s: remedy %q", tt.names, remedy)
			}
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s: %s, want %s", tt.names, s, tt.want)
		}
	}
}
