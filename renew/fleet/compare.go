package fleet

import "keypaird/renew/fleet/document"

// A Local contains the facts of a node about a target.
type Local struct {
	Serial    uint64 // of the release that was taken or published last; 0: none
	Released  string // fingerprint of that release
	Newest    string // fingerprint of the newest pair that is stored; "": none
	HasEngine bool   // a pair with the fingerprint of the engine's release is stored
	Seated    bool   // the node sits in the seat
}

// A Step is the action of a node for a target after it compared what it has with the
// engine's release.
type Step int

const (
	Nothing Step = iota // they agree, or another node has to act
	Take                // the pair of the release replaces what is stored
	Note                // what is stored is the release: only its serial is recorded
	Publish             // what is stored becomes a release, with a higher serial, or again with its own
)

func (s Step) String() string { return [...]string{"nothing", "take", "note", "publish"}[s] }

// older reports whether the engine has an older release than the node, so that it lost
// some: it was restored from a backup, or emptied.
func older(local Local, r document.Release) bool { return r.Serial < local.Serial }

// Compare returns what a node does about a target. The engine has the release r, the zero
// Release if there is none. Its rules, the first that fits:
//
//   - The engine's serial is lower than the node's: what the node has is newer. The node
//     in the seat publishes it again, the others keep it (see older).
//   - The engine's serial is higher: the node takes the release, or notes its serial if
//     it has the pair as its newest. So it does with a pair of its own that was never
//     published, for the fleet has gone on.
//   - The serials are equal and the newest stored pair is the release: nothing.
//   - The serials are equal, and a newer pair is stored than the release, which is stored
//     too or was never there: it was ordered alone, imported, or not yet published when
//     the process ended. The node in the seat publishes it, the others keep it.
//   - The serials are equal, and what is stored of the release is gone, or the engine has
//     another release with the same serial: the node takes it.
func Compare(local Local, r document.Release) Step {
	publish := Nothing
	if local.Seated && local.Newest != "" {
		publish = Publish
	}
	switch {
	case older(local, r):
		return publish
	case r.Serial > local.Serial && r.Fingerprint == local.Newest:
		return Note
	case r.Serial > local.Serial:
		return Take
	case r.Serial == 0: // a pair that was never published, or none
		return publish
	case r.Fingerprint == local.Newest && r.Fingerprint != local.Released:
		return Note
	case r.Fingerprint == local.Newest:
		return Nothing
	case local.Newest != "" && local.Newest != local.Released && local.HasEngine:
		return publish
	}
	return Take
}
