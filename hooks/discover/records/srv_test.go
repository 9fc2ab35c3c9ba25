package records

import "testing"

// A name that does not exist is a fact, whatever the words for it are.
func TestNoName(t *testing.T) {
	reply := func(noName bool) Reply { return Reply{State: Absent, Why: "other words", NoName: noName} }
	s := join("a.example", reply(true), reply(true))
	if !s.NoName || s.Why != "a.example does not exist (other words)" || s.Reason != "no such name (other words)" {
		t.Errorf("no name: %+v", s)
	}
	if s = join("a.example", reply(false), reply(false)); s.NoName || s.Why != "a.example has no address" || s.Reason != "" {
		t.Errorf("no address: %+v", s)
	}
}
