package imports

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"keypaird/acme"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/config/tomltext"
	"keypaird/cmd/keypaird/engine"
	"keypaird/renew"
	"keypaird/renew/durable"
	"keypaird/renew/keypair"
	"keypaird/renew/problem"
	"keypaird/renew/rights"
	"keypaird/renew/textfmt"
)

// Taken lists the accounts and pairs that were copied.
type Taken struct {
	Accounts []string `json:"accounts"` // URLs
	Pairs    []string `json:"pairs"`    // names of targets
}

// Check reads the configuration as keypaird will, without the files that [Plan.Write]
// makes, and returns its mistakes.
func (p *Plan) Check(load config.Options) (*config.Config, error) {
	dir, err := os.MkdirTemp("", "keypaird-import-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	load.Path, load.NoSecrets = filepath.Join(dir, "keypaird.toml"), true
	text := p.Text()
	if root := p.http01.Webroot; root != "" && missing(root) { // made by Write
		text = strings.Replace(text, tomltext.Quote(root), tomltext.Quote(dir), 1)
	}
	if err := os.WriteFile(load.Path, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cfg, err := p.load(load)
	if err == nil {
		cfg.HTTP01.Webroot = p.http01.Webroot
	}
	return cfg, err
}

// load reads a configuration that stands for the one that will be.
func (p *Plan) load(o config.Options) (*config.Config, error) {
	cfg, err := config.Load(o)
	if mistakes, ok := errors.AsType[config.Mistakes](err); ok {
		for i := range mistakes {
			mistakes[i].File = p.options.Config
		}
	}
	return cfg, err
}

func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// Refusal returns why nothing can be written; nil if it can. The faults of the tree are
// not repeated.
func (p *Plan) Refusal() error {
	path := p.options.Config
	if _, err := os.Lstat(path); err == nil {
		return problem.New(path+" exists, and is never written over",
			"move it away, or name another file with -config; tables can be copied from what is shown")
	}
	if n := len(p.Tree.Faults); n > 0 {
		return problem.Newf("correct them, or leave certificates out with -skip NAME", "%d %s in %s: nothing is taken over", n, textfmt.Plural(n, "fault", "faults"), p.Tree.Dir)
	}
	return nil
}

// Write takes accounts and pairs into the state directory, and writes the configuration
// last. Accounts are looked up at their CA first.
func (p *Plan) Write(ctx context.Context, load config.Options, o engine.Options, waiting func(holder string)) (a Taken, err error) {
	if err := p.Refusal(); err != nil {
		return a, err
	}
	text := p.Text()
	dir := filepath.Dir(p.options.Config)
	if err := durable.MakeDir(dir); err != nil {
		return a, err
	}
	if err := p.writeSecrets(); err != nil {
		return a, err
	}
	if err := makeWebroot(p.http01.Webroot); err != nil {
		return a, err
	}
	load.Path = filepath.Join(dir, durable.TempName("keypaird.toml"))
	defer os.Remove(load.Path)
	if err := durable.WriteFile(load.Path, []byte(text), durable.Private); err != nil {
		return a, err
	}
	cfg, err := p.load(load)
	if err != nil {
		return a, err
	}
	e, err := engine.New(cfg, o)
	if err != nil {
		return a, err
	}
	if p.confine {
		rights.Keep(func() error {
			engine.GiveUp(cfg, o.Log, dir)
			return nil
		})
	}
	end, err := e.Begin(ctx, waiting)
	if err != nil {
		return a, err
	}
	defer end()
	if a.Accounts, err = p.takeAccounts(ctx, e); err != nil {
		return a, err
	}
	if a.Pairs, err = p.takePairs(e); err != nil {
		return a, err
	}
	if err := os.Link(load.Path, p.options.Config); err != nil {
		return a, fmt.Errorf("making %s: %w", p.options.Config, durable.Cause(err))
	}
	return a, durable.SyncDir(dir)
}

// writeSecrets writes the files that the configuration names.
func (p *Plan) writeSecrets() error {
	for _, s := range p.secrets {
		data, _, err := durable.ReadFile(s.path, 1<<20, durable.NoLink)
		switch {
		case err == nil && strings.TrimSpace(string(data)) == strings.TrimSpace(s.content):
			continue // of a run that was killed
		case err == nil || !errors.Is(err, fs.ErrNotExist):
			return problem.New(s.path+" exists, and is never written over", "move it away")
		}
		if err := durable.WriteFile(s.path, []byte(s.content+"\n"), durable.Private); err != nil {
			return err
		}
	}
	return nil
}

// makeWebroot makes the directory of the responses, which some clients remove when they
// are done. Links in the document root are not followed out of it.
func makeWebroot(path string) error {
	if path == "" || !missing(path) {
		return nil
	}
	top := strings.TrimSuffix(path, "/.well-known/acme-challenge")
	root, err := os.OpenRoot(top)
	if err != nil {
		return problem.Wrap(fmt.Errorf("opening %s: %w", top, durable.Cause(err)), "make it, or correct the other client's files")
	}
	defer root.Close()
	for _, dir := range []string{".well-known", ".well-known/acme-challenge"} {
		err := root.Mkdir(dir, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			err = root.Chmod(dir, 0o755) // whatever the umask
		}
		if err != nil {
			return fmt.Errorf("making %s: %w", filepath.Join(top, dir), durable.Cause(err))
		}
	}
	return nil
}

// takeAccounts looks each account up at its CA, and then keeps all that are known there.
func (p *Plan) takeAccounts(ctx context.Context, e *engine.Engine) (urls []string, err error) {
	type found struct {
		*ca
		client *acme.Client
		url    string
	}
	var list []found
	for _, c := range p.cas {
		if c.account == nil {
			continue
		}
		client, err := e.CA(c.name)
		if err != nil {
			return nil, err
		}
		url, err := client.FindAccount(ctx, c.account.Key, c.account.URL)
		if errors.Is(err, acme.ErrNoAccount) {
			p.note(c.name, problem.Remedy(err), "the account of %s is not taken over: %v", c.account.File, err)
			continue
		}
		if err != nil {
			return nil, problem.Wrap(fmt.Errorf("asking %s for the account of %s: %w", c.name, c.account.File, err), problem.Remedy(err))
		}
		list = append(list, found{c, client, url})
	}
	for _, a := range list {
		if err := a.client.KeepAccount(a.account.Key, a.url, a.account.Email); err != nil {
			return urls, err
		}
		if a.account.URL != "" && a.account.URL != a.url {
			p.note(a.name, "see that CAA records with accounturi name this one", "the CA calls the account %s, the files call it %s", a.url, a.account.URL)
		}
		urls = append(urls, a.url)
	}
	return urls, nil
}

// takePairs stores the pairs, and records that they are deployed where they are in place.
func (p *Plan) takePairs(e *engine.Engine) (names []string, err error) {
	for _, t := range p.targets {
		if t.Pair == nil {
			continue
		}
		version, err := storePair(e.Store, t)
		if err != nil {
			return names, err
		}
		if err := e.Store.SetLive(t.name, version); err != nil {
			return names, err
		}
		rec := renew.Record{
			Ordering:    renew.Ordering{Fingerprint: t.Pair.Fingerprint(), CA: t.ca.name, Profile: t.Profile, IssuedAt: t.Pair.Leaf.NotBefore.UTC()},
			Deployments: map[string]renew.Deployment{},
		}
		for _, d := range t.deploys {
			if recorded, ok := p.recordInPlace(e, t, d); ok {
				rec.Deployments[d.name] = recorded
			}
		}
		if err := new(renew.Records).SaveDurably(e.Store, t.name, rec); err != nil {
			return names, err
		}
		names = append(names, t.name)
	}
	return names, nil
}

// storePair adds the pair of a target, unless a killed run has done so.
func storePair(store *keypair.Store, t *target) (keypair.Version, error) {
	newest, err := store.Newest(t.name)
	switch {
	case err == nil && newest.Pair.Fingerprint() == t.Pair.Fingerprint():
		return newest, nil
	case err == nil:
		return newest, problem.New(store.Dir(t.name)+" has a pair already, and another one than "+t.Name, "leave the certificate out: -skip "+t.Name+"; or: keypaird forget "+t.name)
	case !errors.Is(err, fs.ErrNotExist):
		return newest, err
	}
	return store.Add(t.name, t.Pair)
}

// recordInPlace returns the record of a deployment that has the pair of a target in place,
// so that the next pass neither writes them nor reloads a server.
func (p *Plan) recordInPlace(e *engine.Engine, t *target, d *deploy) (renew.Deployment, bool) {
	deployment := e.Deployments[d.name]
	if deployment == nil || !deployment.Holds(t.name, t.Pair) {
		p.note(t.name, "", "the files of [deploy.%s] are not all there with its pair: the next keypaird issue writes them", d.name)
		return renew.Deployment{}, false
	}
	spec := deployment.Spec(t.name)
	return renew.Deployment{
		Deployed: t.Pair.Fingerprint(), Verified: t.Pair.Fingerprint(), At: time.Now().UTC().Truncate(time.Second),
		ConfigHash: spec.ConfigHash, Signature: spec.Signature, Files: deployment.Paths(t.name),
	}, true
}
