package names

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	files "keypaird/cmd/keypaird/config/file"

	"keypaird/cmd/keypaird-names/message"
	"keypaird/cmd/keypaird/cli"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/config/hostname"
	"keypaird/cmd/keypaird/engine"
	"keypaird/hooks/verify/input"
)

// Options select targets and domains for verify, and how they are looked up.
type Options struct {
	Names []string // targets and domains; none: all targets
	With  *Lookup  // required

	Config config.Options
	Engine func(*config.Config) (*engine.Engine, error) // required
	Warn   func(message, remedy string)                 // required
}

// A Request is a request for keypaird-names, with the targets and domains it is for.
type Request struct {
	message.Verify
	Lookup message.Lookup

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
	r := &Request{with: o.With, Lookup: o.With.Lookup}
	if r.Lookup.Roots, err = o.With.roots(cfg, o.Warn); err != nil {
		return nil, err
	}
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
		r.Stored = Stored(r.engine)
	}
	err = r.choose(o)
	if err == nil && len(r.Domains) == 0 && len(o.With.Services)+len(o.With.Components) > 0 {
		err = cli.Usage("-service and -component are about domains: name one")
	}
	if err != nil {
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
		r.addCerts(r.Targets)
		r.limitDomains(o.Warn)
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
			if t := targets[0]; slices.Contains(t.Names, n) {
				r.addCert(t, n)
			} else {
				r.addCerts(targets)
			}
		case r.engine != nil && !strings.ContainsAny(n, ".:"):
			return err
		default:
			domain, services := o.With.ParseDomain(name)
			r.Domains = append(r.Domains, input.Domain{Name: domain, Services: services, Components: toDNS(o.With.Components...)})
		}
	}
	return nil
}

// addIdentities adds the domains of identities with configured services. For the
// target of the host alone, only endpoints that need its names are added.
func (r *Request) addIdentities(targets []input.Target, all bool) {
	for _, t := range targets {
		domain := r.engine.Settings[t.Name].Identity
		id, ok := r.engine.Config.Identity[domain]
		if !ok || len(id.Services) == 0 {
			continue
		}
		d := input.Domain{Name: domain, Services: id.Services, Components: id.Components, Configured: true}
		if len(r.with.Services) > 0 {
			d.Services = r.with.Services
		}
		d.Components = append(slices.Clone(d.Components), toDNS(r.with.Components...)...)
		if t.Name != domain && !all {
			d.Names = t.Names
		}
		same := func(o input.Domain) bool { return o.Name == domain && len(o.Names) == len(d.Names) }
		if !slices.ContainsFunc(r.Domains, same) {
			r.Domains = append(r.Domains, d)
		}
	}
}

// addCert adds a domain that a [cert] table is called after and has a name of, with all
// services that its peers find.
func (r *Request) addCert(t input.Target, name string) {
	if r.engine.Settings[t.Name].Identity == "" && isDomain(name) {
		r.Domains = append(r.Domains, input.Domain{Name: name, Services: r.with.Services, Components: toDNS(r.with.Components...), Optional: true})
	}
}

// addCerts adds the domains of [cert] tables, those of their names that are below no
// other of them, with the services that have peers which expect one of these names.
func (r *Request) addCerts(targets []input.Target) {
	for _, t := range targets {
		if r.engine.Settings[t.Name].Identity != "" {
			continue
		}
		services := r.with.Services
		if len(services) == 0 {
			services = servicesOf(t)
		}
		for _, name := range t.Names {
			below := func(other string) bool { return strings.HasSuffix(name, "."+other) }
			if isDomain(name) && !slices.ContainsFunc(t.Names, below) {
				r.Domains = append(r.Domains, input.Domain{
					Name: name, Services: services, Components: toDNS(r.with.Components...), Names: t.Names, Optional: true,
				})
			}
		}
	}
}

// servicesOf returns the services of which a target may have the certificate: all, but
// web only where a deployment serves it on port 443, for any host has a web address.
func servicesOf(t input.Target) []string {
	for _, d := range t.Deployments {
		if slices.ContainsFunc(d.Endpoints, func(e input.Endpoint) bool { return e.Port == 443 }) {
			return nil
		}
	}
	return slices.DeleteFunc(slices.Clone(config.Services), func(s string) bool { return s == "web" })
}

// maxDomains is how many domains are looked up when none is named.
const maxDomains = 100

func (r *Request) limitDomains(warn func(message, remedy string)) {
	if n := len(r.Domains) - maxDomains; n > 0 {
		r.Domains = r.Domains[:maxDomains]
		warn(fmt.Sprintf("the peers' view of %d domains is left out: at most %d are looked up at a time", n, maxDomains), "name them: keypaird verify NAME...")
	}
}

func isDomain(name string) bool {
	return !hostname.IsAddress(name) && !strings.HasPrefix(name, "*")
}

// Trust reads the CAs of -roots.
func (l *Lookup) Trust(warn func(message, remedy string)) (err error) {
	l.Lookup.Roots, err = l.roots(nil, warn)
	return err
}

// roots returns the CAs of the configuration and of a file, in PEM. It warns if there
// are none, and none of the system.
func (l *Lookup) roots(cfg *config.Config, warn func(message, remedy string)) (text []byte, err error) {
	if cfg != nil {
		for name, ca := range cfg.CA {
			if ca.Roots == "" {
				continue
			}
			pem, err := files.ReadSmall(ca.Roots)
			if err != nil {
				return nil, fmt.Errorf("reading roots of [ca.%s]: %s: %w", name, ca.Roots, err)
			}
			text = append(append(text, pem...), '\n')
		}
	}
	if l.RootsFile != "" {
		pem, err := files.ReadSmall(l.RootsFile)
		if err == nil && !x509.NewCertPool().AppendCertsFromPEM(pem) {
			err = errors.New("no certificate in it")
		}
		if err != nil {
			return nil, fmt.Errorf("reading -roots: %s: %w", l.RootsFile, err)
		}
		text = append(append(text, pem...), '\n')
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) && pool.Equal(x509.NewCertPool()) {
		warn("this machine has no root certificates: no chain can lead to one",
			"install them (on Debian the package ca-certificates), or name a file: -roots FILE")
	}
	return text, nil
}
