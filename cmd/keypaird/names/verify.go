package names

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/hooks/verify"
)

// Options say what is verified, and with what.
type Options struct {
	Names []string // targets and domains; none: all targets
	With  *Lookup  // required

	Config config.Options
	Engine func(*config.Config) (*engine.Engine, error) // required
	Warn   func(message, remedy string)                 // required
}

// A Request is a Verifier with what one verify is about.
type Request struct {
	verify.Verifier
	Targets []verify.Target
	Domains []verify.Domain

	with   *Lookup
	engine *engine.Engine // nil: there is no configuration, or it is not usable
}

// Prepare returns the request of the options; the caller closes it. A name of a
// target means that target; any other name with a dot in it means a domain, for
// which no configuration is needed.
func Prepare(o Options) (*Request, error) {
	cfg, err := o.config()
	if err != nil {
		return nil, err
	}
	r := &Request{with: o.With, Verifier: verify.Verifier{Lookup: *o.With.Discoverer}}
	if r.Roots, err = o.With.trustedRoots(cfg, o.Warn); err != nil {
		return nil, err
	}
	r.Lookup.Roots = r.Roots
	if cfg != nil {
		r.engine, err = o.Engine(cfg)
		if err != nil && (len(o.Names) == 0 || hasAnyTarget(cfg, o.Names)) {
			return nil, err
		}
		if err != nil {
			o.warnNotCompared(err)
		}
	}
	if r.engine != nil {
		r.Store, r.Stored = r.engine.Store, Targets(r.engine, nil)
	}
	if err := r.choose(o); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Close closes the engine.
func (r *Request) Close() {
	if r.engine != nil {
		r.engine.Close()
	}
}

// config reads the configuration. Domains are verified without it if it is
// missing or not readable, unless the file was named.
func (o Options) config() (*config.Config, error) {
	if len(o.Names) > 0 && o.Config.Path == "" && o.Config.Getenv(config.PathVariable) == "" {
		switch f, err := os.Open(config.DefaultPath); {
		case errors.Is(err, os.ErrNotExist):
			return nil, nil
		case errors.Is(err, os.ErrPermission):
			o.warnNotCompared(err)
			return nil, nil
		case err == nil:
			f.Close()
		}
	}
	return config.Load(o.Config)
}

func (o Options) warnNotCompared(err error) {
	o.Warn(fmt.Sprintf("cannot compare with stored certificates: %v", err), "")
}

// Targets returns the targets called names, or all, as verify takes them.
func Targets(e *engine.Engine, names map[string]bool) []verify.Target {
	var list []verify.Target
	for _, target := range e.Select(names) {
		t := verify.Target{Name: target.Name, Names: e.Names(target)}
		for _, d := range target.Deploy {
			deployed := verify.Deployment{Name: d.String()}
			for _, at := range e.Deployments[d.String()].Verify {
				deployed.Endpoints = append(deployed.Endpoints, verify.Endpoint{
					Endpoint: at.Endpoint, Names: at.Expected(t.Names, target.Domain, target.Components),
				})
			}
			t.Deployments = append(t.Deployments, deployed)
		}
		list = append(list, t)
	}
	return list
}

// hasAnyTarget reports whether the configuration has a target of one of the names,
// as an operator types them.
func hasAnyTarget(cfg *config.Config, names []string) bool {
	targets := cfg.Targets()
	return slices.ContainsFunc(names, func(name string) bool {
		return slices.ContainsFunc(targets, func(t config.Target) bool { return t.Name == engine.TargetName(name) })
	})
}

// choose sorts the names into targets and domains.
func (r *Request) choose(o Options) error {
	if len(o.Names) == 0 {
		r.Targets = Targets(r.engine, nil)
		r.addIdentities(r.Targets, true)
		return nil
	}
	for _, name := range o.Names {
		n := engine.TargetName(name)
		err := errors.New("there is no configuration")
		if r.engine != nil {
			_, err = r.engine.Find([]string{n})
		}
		switch {
		case err == nil:
			targets := Targets(r.engine, map[string]bool{n: true})
			r.Targets = append(r.Targets, targets...)
			r.addIdentities(targets, false)
			r.addCert(targets[0], n)
		case r.engine != nil && !strings.ContainsAny(n, ".:"):
			return err
		default:
			domain, services := o.With.ParseDomain(name)
			r.Domains = append(r.Domains, verify.Domain{Name: domain, Services: services, Components: ToDNS(o.With.Components...)})
		}
	}
	return nil
}

// addIdentities adds the domains of identities with configured services. For the
// target of the host alone, only endpoints that need its names are added.
func (r *Request) addIdentities(targets []verify.Target, all bool) {
	for _, t := range targets {
		domain := r.engine.Settings[t.Name].Identity
		id, ok := r.engine.Config.Identity[domain]
		if !ok || len(id.Services) == 0 {
			continue
		}
		d := verify.Domain{Name: domain, Services: id.Services, Components: id.Components, Configured: true}
		if len(r.with.Services) > 0 {
			d.Services = r.with.Services
		}
		d.Components = append(slices.Clone(d.Components), ToDNS(r.with.Components...)...)
		if t.Name != domain && !all {
			d.Names = t.Names
		}
		same := func(o verify.Domain) bool { return o.Name == domain && len(o.Names) == len(d.Names) }
		if !slices.ContainsFunc(r.Domains, same) {
			r.Domains = append(r.Domains, d)
		}
	}
}

// addCert adds the domain that a [cert] table is called after and has a name of, with
// all services that its peers find.
func (r *Request) addCert(t verify.Target, name string) {
	if r.engine.Settings[t.Name].Identity != "" || !slices.Contains(t.Names, name) || config.IsAddress(name) || strings.HasPrefix(name, "*") {
		return
	}
	r.Domains = append(r.Domains, verify.Domain{Name: name, Services: r.with.Services, Components: ToDNS(r.with.Components...), Optional: true})
}

// Trust has the Discoverer trust the CAs of the system and of -roots.
func (l *Lookup) Trust(warn func(message, remedy string)) (err error) {
	l.Discoverer.Roots, err = l.trustedRoots(nil, warn)
	return err
}

// trustedRoots returns the CAs of the system, of the configuration and of a file.
func (l *Lookup) trustedRoots(cfg *config.Config, warn func(message, remedy string)) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if cfg != nil {
		for name, ca := range cfg.CA {
			if ca.Roots == "" {
				continue
			}
			pem, err := config.ReadFile(ca.Roots)
			if err != nil {
				return nil, fmt.Errorf("reading roots of [ca.%s]: %s: %w", name, ca.Roots, err)
			}
			pool.AppendCertsFromPEM(pem)
		}
	}
	if l.Roots != "" {
		pem, err := config.ReadFile(l.Roots)
		if err == nil && !pool.AppendCertsFromPEM(pem) {
			err = errors.New("no certificate in it")
		}
		if err != nil {
			return nil, fmt.Errorf("reading -roots: %s: %w", l.Roots, err)
		}
	}
	if pool.Equal(x509.NewCertPool()) {
		warn("this machine has no root certificates: no chain can lead to one",
			"install them (on Debian the package ca-certificates), or name a file: -roots FILE")
	}
	return pool, nil
}
