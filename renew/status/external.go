package status

import (
	"time"

	"keypaird/renew"
)

// External is where a certificate comes from that somebody else obtains.
type External struct {
	Chain   string   `json:"chain"`             // file
	Key     string   `json:"key"`               // file
	Failure *Failure `json:"failure,omitempty"` // of the last try to take them, if it failed and they are still to be taken
}

// external notes where a bought certificate comes from. It has no due time: only
// its end is known.
func (t *Target) external(s Subject, state renew.State, now time.Time) {
	if s.External == nil {
		return
	}
	_, last := state.Failing(now, s.Target)
	t.External = &External{Chain: s.External.Chain, Key: s.External.Key, Failure: failure(last)}
	t.Due = nil
}

// unless is what is said of when a target is ordered, unless it is bought: then
// by when a person has to replace it, with times as when writes them.
func (t Target) unless(ordered string, when func(time.Time) string) string {
	switch {
	case t.External == nil:
		return ordered
	case t.Live == nil:
		return "bought"
	}
	return "bought: replace it before " + when(t.Live.NotAfter)
}

// taking is what failed of taking the files of a bought certificate, on a page.
func (t Target) taking() []try {
	if t.External == nil || t.External.Failure == nil {
		return nil
	}
	return []try{newTry(t, "Taking its files", *t.External.Failure)}
}

// replaceExternal says that the external certificate in use is to be replaced.
func (t Target) replaceExternal(now time.Time) string {
	text := "the certificate in use is bought and ends "
	if !now.Before(t.Live.NotAfter) {
		text = "the certificate in use is bought and ended "
	}
	text += day(t.Live.NotAfter) + ": put another into " + t.External.Chain + " and its key into " + t.External.Key
	if f := t.External.Failure; f != nil {
		text += "; taking what is there failed"
	}
	return text
}
