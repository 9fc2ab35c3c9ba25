package engine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"keypaird/hooks/standin"
	"keypaird/renew"
	"keypaird/renew/durable"
	"keypaird/renew/keypair"
	"keypaird/renew/problem"
	"keypaird/renew/rights"
	"keypaird/renew/status"
)

// A StandIn is a self-signed pair that was written for a target, so that a server can
// start.
type StandIn struct {
	Target   string    `json:"target"`
	Files    []string  `json:"files"`
	NotAfter time.Time `json:"not_after"`
}

// writeStandIn writes one for a target to the files of the deployments that want
// accepts, where all of them are missing, and durably; nil: there is nothing to write.
// A target that has a pair needs none. want also gets "", the store itself, for a
// target without deployments.
func (e *Engine) writeStandIn(ctx context.Context, t renew.Target, want func(deployment string) bool) (*StandIn, error) {
	deployments := names(t.Deploy)
	if len(deployments) == 0 {
		deployments = append(deployments, "")
	}
	var pair *keypair.Pair
	written := &StandIn{Target: t.Name}
	for _, name := range deployments {
		files := e.filesOf(t.Name, name)
		missing, err := allMissing(files)
		if err == nil && !missing || !want(name) {
			continue
		}
		if pair == nil {
			if needs, err := e.needsStandIn(t); err != nil || !needs {
				return nil, err
			}
		}
		if err == nil && pair == nil {
			pair, err = standin.New(ctx, t.Names, t.KeyType, time.Now())
		}
		if err == nil {
			err = e.putStandIn(t.Name, name, pair)
		}
		if err != nil {
			return written.orNil(), &renew.TargetError{Targets: []string{t.Name}, Step: "deploying a stand-in", Err: err}
		}
		written.Files, written.NotAfter = append(written.Files, files...), pair.Leaf.NotAfter.UTC()
	}
	return written.orNil(), nil
}

// needsStandIn reports whether no pair of a target is stored, and its names are known.
func (e *Engine) needsStandIn(t renew.Target) (bool, error) {
	_, _, _, err := e.Store.NewestLeaf(t.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return len(t.Names) > 0, nil
	}
	return false, err
}

// orNil returns nil for one without files.
func (s *StandIn) orNil() *StandIn {
	if len(s.Files) == 0 {
		return nil
	}
	return s
}

// putStandIn writes a pair to where a deployment has its files.
func (e *Engine) putStandIn(target, deployment string, p *keypair.Pair) error {
	if err := rights.Drop(); err != nil {
		return err
	}
	if d := e.Deployments[deployment]; d != nil && len(d.Paths(target)) > 0 {
		return d.PutFirst(target, p)
	}
	return e.Store.SetStandIn(target, p)
}

// filesOf returns the files that the server of a deployment reads for a target.
func (e *Engine) filesOf(target, deployment string) []string {
	if d := e.Deployments[deployment]; d != nil && len(d.Paths(target)) > 0 {
		return d.Paths(target)
	}
	live := filepath.Join(e.Store.Dir(target), "live")
	return []string{filepath.Join(live, "fullchain.pem"), filepath.Join(live, "privkey.pem")}
}

// allMissing reports whether none of files exists. Where some do, a stand-in cannot be
// whole unless they are replaced.
func allMissing(files []string) (bool, error) {
	there, missing := "", ""
	for _, path := range files {
		_, err := os.Lstat(path)
		failed, _ := errors.AsType[*fs.PathError](err)
		switch {
		case err == nil:
			there = path
		case errors.Is(err, fs.ErrNotExist):
			missing = path
		default:
			return false, &durable.WriteError{Path: path, Err: failed.Err}
		}
	}
	if there != "" && missing != "" {
		return false, problem.Newf("remove "+there+" if nothing needs it, or write "+missing, "%s exists and %s does not: a stand-in is never written over anything", there, missing)
	}
	return missing != "", nil
}

// standInOf returns the stand-in that is deployed for a target; nil: there is none.
func (e *Engine) standInOf(t renew.Target) *status.StandIn {
	var found *status.StandIn
	seen := map[string]bool{}
	for _, name := range append([]string{""}, names(t.Deploy)...) {
		for _, path := range e.filesOf(t.Name, name) {
			leaf := standin.In(path)
			if leaf == nil || seen[path] {
				continue
			}
			seen[path] = true
			if found == nil {
				found = &status.StandIn{NotAfter: leaf.NotAfter.UTC()}
			}
			found.Files = append(found.Files, path)
		}
	}
	return found
}

// names returns the names of deployments.
func names(deployments []renew.Deployer) []string {
	var list []string
	for _, d := range deployments {
		list = append(list, d.String())
	}
	return list
}
