package acl

import (
	"io/fs"
	"testing"
)

// Without its list, a file is not readable for more than with it.
func TestModeWithoutACL(t *testing.T) {
	entry := func(tag, perm byte) []byte { return []byte{tag, 0, perm, 0, 255, 255, 255, 255} }
	list := func(group, mask byte) List {
		a := List{version, 0, 0, 0}
		for _, e := range [][]byte{entry(tagUser, 6), entry(0x02, 4), entry(tagGroup, group), entry(tagMask, mask), entry(tagOther, 0)} {
			a = append(a, e...)
		}
		return a
	}
	for _, tt := range []struct {
		name        string
		list        List
		shown, want fs.FileMode
	}{
		{"no list", nil, 0o640, 0o640},
		{"the group has no right, the mask has", list(0, 4), 0o640, 0o600},
		{"the group may read, and write within no mask", list(6, 4), 0o640, 0o640},
		{"the mask is narrower", list(4, 0), 0o600, 0o600},
		{"unknown form", List{3, 0, 0, 0}, 0o644, 0o604},
		{"unreadable", List{}, 0o640, 0o600},
	} {
		if got := tt.list.Without(tt.shown); got != tt.want {
			t.Errorf("%s: mode %04o, want %04o", tt.name, got, tt.want)
		}
	}
	if got := list(4, 4).WithMode(0o600).Shown(0o600); got != 0o640 {
		t.Errorf("mode with the list %04o, want 0640, the mask's", got)
	}
	if got := (List{3, 0, 0, 0}).WithMode(0o600); got != nil {
		t.Errorf("a list of unknown form is carried: %x", got)
	}
}
