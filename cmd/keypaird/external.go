package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"keypaird/cmd/keypaird/config"
	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/status"
)

// proofExternal stands where others have the type of challenge that proves a
// name.
const proofExternal = "external"

// externalOf is where a bought certificate is; nil: the target is ordered.
func externalOf(t config.Target) *renew.External {
	if t.External == (config.External{}) {
		return nil
	}
	return &renew.External{Source: keypair.Source{Chain: t.External.Chain, Key: t.External.Key}}
}

// bought completes the subject of a bought certificate with what only its files
// know: how they are now, and the names of what was taken from them.
func (w *wiring) bought(s status.Subject) status.Subject {
	s.External = &renew.External{Source: s.External.Source, Mark: s.External.Source.Mark()}
	s.Names, s.Proofs = w.boughtNames(s.Name), map[string]string{}
	for _, name := range s.Names {
		s.Proofs[name] = proofExternal
	}
	return s
}

// boughtNames is what the bought certificate of a target is for, none if there is
// none yet. Who needs more of it than that finds out why.
func (w *wiring) boughtNames(target string) []string {
	leaf, _, _, err := w.store.NewestLeaf(target)
	if err != nil {
		return nil
	}
	return renew.Names(leaf)
}

// checkBought reads the files of bought certificates. With all, it also says
// which are right.
func checkBought(cfg *config.Config, all bool) []Finding {
	var found []Finding
	for _, t := range cfg.Targets() {
		x := externalOf(t)
		if x == nil {
			continue
		}
		p, _, err := x.Read(time.Now())
		switch {
		case err != nil:
			found = append(found, finding(proofExternal, t.Name, "", err))
		case p.Alone():
			found = append(found, Finding{
				Check: proofExternal, Subject: t.Name, Result: Warning, Detail: x.Chain + " holds the certificate alone: clients that do not know its issuer refuse it",
				Remedy: "add the intermediate certificates, which its seller provides, after it",
			})
		case all:
			detail := fmt.Sprintf("for %s, valid until %s", strings.Join(renew.Names(p.Leaf), " "), p.Leaf.NotAfter.UTC().Format(time.RFC3339))
			found = append(found, finding(proofExternal, t.Name, detail, nil))
		}
	}
	return found
}

// watchEvery is how often the daemon looks at the files of bought certificates.
// They are taken when they were left alone for that long.
const watchEvery = 2 * time.Second

// A watch knows how the files of bought certificates were.
type watch struct {
	mu    sync.Mutex
	marks map[string]string // by target
	moved bool
}

// settled reports whether files have changed, and not since the last call.
func (v *watch) settled(subjects []status.Subject) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	still := true
	for _, s := range subjects {
		if s.External == nil {
			continue
		}
		mark := s.External.Source.Mark()
		if before, known := v.marks[s.Name]; known && mark != before {
			v.moved, still = true, false
		}
		if v.marks == nil {
			v.marks = map[string]string{}
		}
		v.marks[s.Name] = mark
	}
	wake := v.moved && still
	v.moved = v.moved && !still
	return wake
}

// watchFiles has all targets looked at when the files of a bought certificate
// have changed, until ctx ends.
func (k *keeper) watchFiles(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		k.inUse.RLock()
		parts := k.parts
		k.inUse.RUnlock()
		if parts.files.settled(parts.subjects) {
			k.log.Info("files of a bought certificate changed")
			k.wake()
		}
	}
}
