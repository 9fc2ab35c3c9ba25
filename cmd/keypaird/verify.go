package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/hooks/verify"
)

// verify dials the endpoints of deployments, and those that the peers of a
// domain find, and compares what is served with what should be.
func verifyCommand(ctx context.Context, a *env, args []string) error {
	asJSON := a.flags.Bool("json", false, "print the checks as JSON")
	asTAP := a.flags.Bool("tap", false, "print the checks in the Test Anything Protocol, version 13")
	roots := a.flags.String("roots", "", "trust the CAs in this PEM `file` too")
	look := addLookFlags(a.flags)
	names, err := a.parse(args)
	if err != nil {
		return err
	}
	if *asJSON && *asTAP {
		return &usageError{problem: "-json and -tap exclude each other"}
	}
	v, err := newVerifyRequest(a, names, look, *roots)
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

// newVerifyRequest finds out what is asked for. A name that is a target's is that
// target; any other name with a dot is a domain, for which no configuration is
// needed.
func newVerifyRequest(a *env, names []string, look *lookFlags, roots string) (*verifyRequest, error) {
	d, err := look.discoverer(logger(a.stderr, levelQuiet))
	if err != nil {
		return nil, err
	}
	v := &verifyRequest{with: verify.Verifier{Lookup: *d}}
	cfg, err := verifyConfig(a, names)
	if err != nil {
		return nil, err
	}
	if v.with.Roots, err = trustedRoots(a.stderr, cfg, roots); err != nil {
		return nil, err
	}
	v.with.Lookup.Roots = v.with.Roots
	if cfg != nil {
		v.w, err = a.engine(cfg, logger(a.stderr, levelQuiet))
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
	for _, s := range w.Current(names) {
		t := verify.Target{Name: s.Name, Names: s.Names}
		for _, name := range s.Deploy {
			t.Deployments = append(t.Deployments, verify.Deployment{Name: name, Endpoints: w.Deployments[name].Verify})
		}
		list = append(list, t)
	}
	return list
}

// hasAnyTarget reports whether the configuration has a target of one of the names,
// as an operator types them.
func hasAnyTarget(cfg *config.Config, names []string) bool {
	return slices.ContainsFunc(cfg.Targets(), func(t config.Target) bool {
		return slices.ContainsFunc(names, func(name string) bool { return engine.TargetName(name) == t.Name })
	})
}

// verifyConfig reads the configuration. Domains are verified without one that
// is not there or not ours to read, unless it was asked for by name.
func verifyConfig(a *env, names []string) (*config.Config, error) {
	if len(names) > 0 && a.config == "" && a.getenv(config.PathVariable) == "" {
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
		normal := engine.TargetName(name)
		if v.w != nil && v.w.HasTarget(normal) {
			mine := verifyTargets(v.w, map[string]bool{normal: true})
			v.targets = append(v.targets, mine...)
			v.wishes(mine, false)
			continue
		}
		if v.w != nil && !strings.ContainsAny(normal, ".:") {
			_, err := v.w.Find([]string{normal})
			return err
		}
		v.domains = append(v.domains, verify.Domain{Name: lookName(name)})
	}
	return nil
}

// wishes adds the domains of identities whose services are configured. Who asks
// for the host's target alone is not told of what other names are needed for.
func (v *verifyRequest) wishes(list []verify.Target, all bool) {
	for _, t := range list {
		domain := v.w.Targets[t.Name].Identity
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
func trustedRoots(stderr io.Writer, cfg *config.Config, file string) (*x509.CertPool, error) {
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
		fmt.Fprintln(stderr, "keypaird: this machine has no root certificates: no chain can lead to one")
		printRemedy(stderr, "install them (on Debian the package ca-certificates), or name a file: -roots FILE")
	}
	return pool, nil
}
