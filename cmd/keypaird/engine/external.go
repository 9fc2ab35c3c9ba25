package engine

import (
	"keypaird/cmd/keypaird/config"
	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/status"
)

// TypeExternal stands for an external certificate where others have the type of
// challenge that validates a name.
const TypeExternal = "external"

// ExternalOf is where a bought certificate is; nil: the target is ordered.
func ExternalOf(t config.Target) *renew.External {
	if t.External == (config.External{}) {
		return nil
	}
	return &renew.External{Source: keypair.Source{Chain: t.External.Chain, Key: t.External.Key}}
}

// external completes the subject of an external certificate with what only its files
// know: how they are now, and the names of what was taken from them.
func (e *Engine) external(s status.Subject) status.Subject {
	s.External = &renew.External{Source: s.External.Source, Mark: s.External.Source.Mark()}
	s.Names, s.Challenges = e.ExternalNames(s.Name), map[string]string{}
	for _, name := range s.Names {
		s.Challenges[name] = TypeExternal
	}
	return s
}

// ExternalNames is what the bought certificate of a target is for, none if there is
// none yet. Who needs more of it than that finds out why.
func (e *Engine) ExternalNames(target string) []string {
	leaf, _, _, err := e.Store.NewestLeaf(target)
	if err != nil {
		return nil
	}
	return renew.Names(leaf)
}
