package fleet

import (
	"testing"

	"keypaird/renew/fleet/document"
)

func TestCompare(t *testing.T) {
	release := func(serial uint64, fingerprint string) document.Release {
		return document.Release{Serial: serial, Fingerprint: fingerprint}
	}
	none := document.Release{}
	for _, tt := range []struct {
		name   string
		local  Local
		engine document.Release
		want   Step // of a node that does not sit
		seated Step
	}{
		{"neither has one", Local{}, none, Nothing, Nothing},
		{"never published", Local{Newest: "x"}, none, Nothing, Publish},
		{"new node", Local{}, release(7, "x"), Take, Take},
		{"new node with the same pair", Local{Newest: "x"}, release(7, "x"), Note, Note},
		{"one machine joins a fleet", Local{Newest: "y"}, release(7, "x"), Take, Take},
		{"in step", Local{Serial: 7, Released: "x", Newest: "x", HasEngine: true}, release(7, "x"), Nothing, Nothing},
		{"renewed by another node", Local{Serial: 6, Released: "w", Newest: "w"}, release(7, "x"), Take, Take},
		{"many releases behind", Local{Serial: 2, Released: "w", Newest: "w"}, release(7, "x"), Take, Take},
		{"published again", Local{Serial: 6, Released: "x", Newest: "x", HasEngine: true}, release(7, "x"), Note, Note},
		{"rolled back", Local{Serial: 6, Released: "x", Newest: "x", HasEngine: true}, release(7, "w"), Take, Take},
		{"stored, but the process ended before it was recorded", Local{Serial: 6, Released: "w", Newest: "x", HasEngine: true}, release(7, "x"), Note, Note},
		{"ordered, but the process ended before it was published", Local{Serial: 6, Released: "w", Newest: "x", HasEngine: true}, release(6, "w"), Nothing, Publish},
		{"last resort, and the fleet did not go on", Local{Serial: 6, Released: "w", Newest: "x", HasEngine: true}, release(6, "w"), Nothing, Publish},
		{"last resort, but the fleet went on", Local{Serial: 6, Released: "w", Newest: "x"}, release(7, "y"), Take, Take},
		{"last resort, and the engine was emptied", Local{Serial: 6, Released: "w", Newest: "x"}, none, Nothing, Publish},
		{"engine restored from a backup", Local{Serial: 7, Released: "x", Newest: "x"}, release(5, "v"), Nothing, Publish},
		{"engine restored, same pair", Local{Serial: 7, Released: "x", Newest: "x", HasEngine: true}, release(5, "x"), Nothing, Publish},
		{"engine emptied", Local{Serial: 7, Released: "x", Newest: "x"}, none, Nothing, Publish},
		{"engine older, and the pair is gone here", Local{Serial: 7, Released: "x"}, release(5, "v"), Nothing, Nothing},
		{"node restored from a snapshot", Local{Serial: 3, Released: "u", Newest: "u"}, release(7, "x"), Take, Take},
		{"newest version damaged", Local{Serial: 7, Released: "x", Newest: "w"}, release(7, "x"), Take, Take},
		{"all versions damaged", Local{Serial: 7, Released: "x"}, release(7, "x"), Take, Take},
		{"another release of the same serial", Local{Serial: 7, Released: "x", Newest: "x"}, release(7, "y"), Take, Take},
		{"its serial was recorded, not its fingerprint", Local{Serial: 7, Newest: "x"}, release(7, "x"), Note, Note},
	} {
		for seated, want := range map[bool]Step{false: tt.want, true: tt.seated} {
			tt.local.Seated = seated
			if got := Compare(tt.local, tt.engine); got != want {
				t.Errorf("%s, seated %v: %v, want %v", tt.name, seated, got, want)
			}
		}
		if older := older(tt.local, tt.engine); older != (tt.engine.Serial < tt.local.Serial) {
			t.Errorf("%s: Older = %v", tt.name, older)
		}
	}
}

func TestNewerVersion(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"v1.2.3", "v1.2.2", true}, {"v1.10.0", "v1.9.9", true}, {"v2.0.0", "v1.9.9", true}, {"v1.2.3", "v1.2.3", false},
		{"v1.2.2", "v1.2.3", false}, {"devel", "v1.0.0", false}, {"v1.0.0", "devel", false}, {"", "", false},
		{"v1.2.3-0.20260101000000-abcdef", "v1.2.2", true}, {"v1.2", "v1.1.0", false}, {"v1.2.3+dirty", "v1.2.2", true},
	} {
		if got := newerVersion(tt.a, tt.b); got != tt.want {
			t.Errorf("newerVersion(%q, %q) = %v", tt.a, tt.b, got)
		}
	}
}
