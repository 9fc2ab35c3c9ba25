package hooks

import (
	"io/fs"
	"testing"
)

// Without its list, a file is not readable for more than with it.
func TestModeWithoutACL(t *testing.T) {
	entry := func(tag, perm byte) []byte { return []byte{tag, 0, perm, 0, 255, 255, 255, 255} }
	list := func(group, mask byte) acl {
		a := acl{aclVersion, 0, 0, 0}
		for _, e := range [][]byte{entry(aclUserObj, 6), entry(0x02, 4), entry(aclGroupObj, group), entry(aclMask, mask), entry(aclOther, 0)} {
			a = append(a, e...)
		}
		return a
	}
	for _, tt := range []struct {
		name        string
		list        acl
		shown, want fs.FileMode
	}{
		{"no list", nil, 0o640, 0o640},
		{"the group has no right, the mask has", list(0, 4), 0o640, 0o600},
		{"the group may read, and write within no mask", list(6, 4), 0o640, 0o640},
		{"the mask is narrower", list(4, 0), 0o600, 0o600},
		{"unknown form", acl{3, 0, 0, 0}, 0o644, 0o604},
		{"unreadable", acl{}, 0o640, 0o600},
	} {
		if got := tt.list.without(tt.shown); got != tt.want {
			t.Errorf("%s: mode %04o, want %04o", tt.name, got, tt.want)
		}
	}
	if got := list(4, 4).withMode(0o600).shown(0o600); got != 0o640 {
		t.Errorf("mode with the list %04o, want 0640, the mask's", got)
	}
	if got := (acl{3, 0, 0, 0}).withMode(0o600); got != nil {
		t.Errorf("a list of unknown form is carried: %x", got)
	}
}
