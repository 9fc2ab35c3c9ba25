package main

import (
	"context"
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

// verify dials the endpoints of deployments, and those that the peers of a
// domain find, and compares what is served with what should be.
func (a *app) verify(ctx context.Context, args []string) error {
	flags := a.flags("verify")
	asJSON := flags.Bool("json", false, "print the checks as JSON")
	asTAP := flags.Bool("tap", false, "print the checks in the Test Anything Protocol, version 13")
	roots := flags.String("roots", "", "trust the CAs in this PEM `file` too")
	look := addLookFlags(flags)
	if err := parse(flags, args); err != nil {
		return err
	}
	if *asJSON && *asTAP {
		return &UsageError{"-json and -tap exclude each other"}
	}
	v, err := a.verifier(flags.Args(), look, *roots)
	if err != nil {
		return err
	}
	defer v.close()
	rows, err := v.with.Verify(ctx, v.targets, v.domains)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	switch {
	case *asJSON && len(rows) > 0:
		err = a.printJSON(rows)
	case *asTAP && len(rows) > 0:
		err = verify.WriteTAP(a.stdout, rows)
	default:
		err = verify.WriteText(a.stdout, rows)
	}
	if err != nil {
		return err
	}
	return verify.Err(rows)
}

// A verifyRequest is what one verify is asked for.
type verifyRequest struct {
	w       *engine.Engine // nil: there is no configuration
	targets []verify.Target
	domains []verify.Domain
	with    verify.Verifier
}

// verifier finds out what is asked for. A name that is a target's is that
// target; any other name with a dot is a domain, for which no configuration is
// needed.
func (a *app) verifier(names []string, look *lookFlags, roots string) (*verifyRequest, error) {
	for _, name := range names {
		if strings.HasPrefix(name, "-") {
			return nil, &UsageError{fmt.Sprintf("%s stands after a name: options go before names", name)}
		}
	}
	d, err := look.discoverer(a.logger(levelQuiet))
	if err != nil {
		return nil, err
	}
	v := &verifyRequest{with: verify.Verifier{Lookup: *d}}
	cfg, err := a.verifyConfig(names)
	if err != nil {
		return nil, err
	}
	if v.with.Roots, err = a.trustedRoots(cfg, roots); err != nil {
		return nil, err
	}
	v.with.Lookup.Roots = v.with.Roots
	if cfg != nil {
		v.w, err = a.engine(cfg, a.logger(levelQuiet))
		if err != nil && (len(names) == 0 || hasAnyTarget(cfg, names)) {
			return nil, err
		}
		if err != nil {
			fmt.Fprintf(a.stderr, "keypaird: cannot compare with stored certificates: %v\n", err)
		}
	}
	if v.w != nil {
		v.with.Store, v.with.Stored = v.w.Store, verifyTargets(v.w, nil)
	}
	if err := v.choose(names); err != nil {
		v.close()
		return nil, err
	}
	return v, nil
}

func (v *verifyRequest) close() {
	if v.w != nil {
		v.w.Close()
	}
}

// verifyTargets returns the targets called names, or all, as verify takes them.
func verifyTargets(w *engine.Engine, names map[string]bool) []verify.Target {
	var list []verify.Target
	for _, target := range w.Select(names) {
		t := verify.Target{Name: target.Name, Names: w.Names(target)}
		for _, d := range target.Deploy {
			t.Deployments = append(t.Deployments, verify.Deployment{Name: d.String(), Endpoints: w.Deployments[d.String()].Verify})
		}
		list = append(list, t)
	}
	return list
}

// hasAnyTarget reports whether the configuration has a target of one of the names,
// as an operator types them.
func hasAnyTarget(cfg *config.Config, names []string) bool {
	names = normalNames(names)
	return slices.ContainsFunc(cfg.Targets(), func(t config.Target) bool { return slices.Contains(names, t.Name) })
}

// verifyConfig reads the configuration. Domains are verified without one that
// is not there or not ours to read, unless it was asked for by name.
func (a *app) verifyConfig(names []string) (*config.Config, error) {
	if len(names) > 0 && a.config == "" && a.env(config.PathVariable) == "" {
		switch f, err := os.Open(config.DefaultPath); {
		case errors.Is(err, os.ErrNotExist):
			return nil, nil
		case errors.Is(err, os.ErrPermission):
			fmt.Fprintf(a.stderr, "keypaird: cannot compare with stored certificates: %v\n", err)
			return nil, nil
		case err == nil:
			f.Close()
		}
	}
	return a.load()
}

// choose sorts names into targets and domains.
func (v *verifyRequest) choose(names []string) error {
	if len(names) == 0 {
		v.targets = verifyTargets(v.w, nil)
		v.wishes(v.targets, true)
		return nil
	}
	for _, name := range names {
		normal := normalNames([]string{name})[0]
		if v.w != nil && known(v.w, []string{normal}) == nil {
			mine := verifyTargets(v.w, map[string]bool{normal: true})
			v.targets = append(v.targets, mine...)
			v.wishes(mine, false)
			continue
		}
		if v.w != nil && !strings.ContainsAny(normal, ".:") {
			return known(v.w, []string{normal})
		}
		v.domains = append(v.domains, verify.Domain{Name: lookName(name)})
	}
	return nil
}

// wishes adds the domains of identities whose services are configured. Who asks
// for the host's target alone is not told of what other names are needed for.
func (v *verifyRequest) wishes(list []verify.Target, all bool) {
	for _, t := range list {
		domain := v.w.Settings[t.Name].Identity
		id, ok := v.w.Config.Identity[domain]
		if !ok || len(id.Services) == 0 {
			continue
		}
		wish := verify.Domain{Name: domain, Services: id.Services, Components: id.Components, Configured: true}
		if t.Name != domain && !all {
			wish.Names = t.Names
		}
		same := func(o verify.Domain) bool { return o.Name == domain && len(o.Names) == len(wish.Names) }
		if !slices.ContainsFunc(v.domains, same) {
			v.domains = append(v.domains, wish)
		}
	}
}

// trustedRoots are the system's, those of the configured CAs, and those of a
// file.
func (a *app) trustedRoots(cfg *config.Config, file string) (*x509.CertPool, error) {
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
	if file != "" {
		pem, err := config.ReadFile(file)
		if err == nil && !pool.AppendCertsFromPEM(pem) {
			err = errors.New("no certificate in it")
		}
		if err != nil {
			return nil, fmt.Errorf("reading -roots: %s: %w", file, err)
		}
	}
	if pool.Equal(x509.NewCertPool()) {
		fmt.Fprintln(a.stderr, "keypaird: this machine has no root certificates: no chain can lead to one")
		printRemedy(a.stderr, "install them (on Debian the package ca-certificates), or name a file: -roots FILE")
	}
	return pool, nil
}
