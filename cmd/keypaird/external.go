package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"keypaird/renew"
	"keypaird/renew/keypair"
	"keypaird/renew/status"
)

// proofExternal stands where others have the type of challenge that proves a
// name.
const proofExternal = "external"

// source is where a bought certificate is; nil: the target is ordered.
func (t TargetConfig) source() *renew.External {
	if t.External == (ExternalConfig{}) {
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

// boughtCert checks a [cert] table whose certificate is bought.
func (c *checker) boughtCert(p path, cert CertConfig) {
	for _, key := range []string{"http-01", "dns-01", "dns-persist-01"} {
		if c.isSet(p.in(key)) {
			c.wrong(p.in(key), "leave it out: a bought certificate says itself what it is for; or leave external out, and keypaird obtains one", "stands beside external")
		}
	}
	for _, key := range []string{"dns", "key", "profile", "sign_with", "preferred_chain", "tlsa"} {
		if c.isSet(p.in(key)) {
			c.wrong(p.in(key), "leave it out: a bought certificate is not ordered", "stands beside external")
		}
	}
	at := p.in("external")
	c.boughtFile(at.in("chain"), cert.External.Chain, `name the file with the certificate and its intermediates: chain = "/root/bought/chain.pem"`)
	c.boughtFile(at.in("key"), cert.External.Key, `name the file with its private key: key = "/root/bought/key.pem"`)
	if x := cert.External; x.Key != "" && filepath.Clean(x.Key) == filepath.Clean(x.Chain) {
		c.wrong(at.in("key"), "put key and certificates into files of their own", "is the file of chain, too")
	}
	c.targetSettings(p, "", nil, nil, cert.Deploy)
}

// boughtFile checks a path. Whether the file can be used shows later: it may
// come and go while other certificates want to be cared for. What is no path may
// be the key itself, and is not repeated.
func (c *checker) boughtFile(p path, file, remedy string) {
	switch {
	case file == "":
		c.wrong(p, remedy, "is missing")
	case !filepath.IsAbs(file) || strings.ContainsRune(file, 0):
		c.wrong(p, "write the path of the file from / on", "is not an absolute path")
	case strings.HasPrefix(filepath.Clean(file), c.cfg.State+"/"):
		c.wrong(p, "put the file elsewhere: keypaird copies it to where it keeps pairs", "%s lies in the state directory, which is keypaird's own", file)
	}
}

// boughtApart refuses files of bought certificates that a deployment writes: the
// next one would never be seen.
func (c *checker) boughtApart(p path, t TargetConfig, writers map[string]written) {
	for _, f := range []struct{ key, file string }{{"chain", t.External.Chain}, {"key", t.External.Key}} {
		if by, taken := writers[filepath.Clean(f.file)]; taken && f.file != "" {
			c.wrong(p.in("external", f.key), "keep what you bought elsewhere: it is copied to where the server reads it",
				"%s is written by [deploy.%s] for the target %q", f.file, by.deployment, by.target)
		}
	}
}

// checkBought reads the files of bought certificates. With all, it also says
// which are right.
func checkBought(cfg *Config, all bool) []Finding {
	var found []Finding
	for _, t := range cfg.Targets() {
		x := t.source()
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
