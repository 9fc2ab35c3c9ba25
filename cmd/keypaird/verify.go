package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"keypaird/cmd/keypaird/config"
	"keypaird/hooks/discover"
	"keypaird/renew"
)

// verify dials the endpoints of deployments, and those that the peers of a
// domain find, and compares what is served with what should be.
func (a *app) verify(ctx context.Context, args []string) error {
	flags := a.flags("verify")
	asJSON := flags.Bool("json", false, "print the rows as JSON")
	asTAP := flags.Bool("tap", false, "print the rows in the Test Anything Protocol, version 14")
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
	rows, err := v.all(ctx)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if len(rows) == 0 {
		return errNowhere{}
	}
	switch {
	case *asJSON:
		err = a.printJSON(rows)
	case *asTAP:
		err = writeTAP(a.stdout, rows)
	case tally(rows)[Nothing] < len(rows):
		err = writeSights(a.stdout, rows)
	}
	if err != nil {
		return err
	}
	return verdict(rows)
}

// A verifier is one verify under way.
type verifier struct {
	w       *wiring             // nil: there is no configuration
	byName  map[string][]string // targets by what they are for
	targets []renew.Target      // that are asked about
	domains []domainWish        //
	roots   *x509.CertPool      // trusted
	lookup  discover.Discoverer
	looks   *looker
	now     time.Time
}

// A domainWish is a domain whose peers' way is followed.
type domainWish struct {
	domain     string
	services   []string // none: all
	components []string
	names      []string // only what peers want these names for; none: all
	configured bool     // the services are known to be there
}

// verifier finds out what is asked for. A name that is a target's is that
// target; any other name with a dot is a domain, for which no configuration is
// needed.
func (a *app) verifier(names []string, look *lookFlags, roots string) (*verifier, error) {
	for _, name := range names {
		if strings.HasPrefix(name, "-") {
			return nil, &UsageError{fmt.Sprintf("%s stands after a name: options go before names", name)}
		}
	}
	d, err := look.discoverer(a.logger(levelQuiet))
	if err != nil {
		return nil, err
	}
	v := &verifier{lookup: *d, looks: newLooker(), now: time.Now()}
	cfg, err := a.verifyConfig(names)
	if err != nil {
		return nil, err
	}
	if v.roots, err = a.trustedRoots(cfg, roots); err != nil {
		return nil, err
	}
	v.lookup.Roots = v.roots
	if cfg != nil {
		v.w, err = a.wire(cfg, a.logger(levelQuiet))
		if err != nil && (len(names) == 0 || hasAnyTarget(cfg, names)) {
			return nil, err
		}
		if err != nil {
			fmt.Fprintf(a.stderr, "keypaird: pairs of ours are not recognised: %v\n", err)
		}
	}
	if v.w != nil {
		v.byName = map[string][]string{}
		for _, s := range v.w.standing(nil) {
			for _, name := range s.Names {
				v.byName[name] = append(v.byName[name], s.Name)
			}
		}
	}
	if err := v.choose(names); err != nil {
		v.close()
		return nil, err
	}
	return v, nil
}

func (v *verifier) close() {
	if v.w != nil {
		v.w.close()
	}
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
			fmt.Fprintf(a.stderr, "keypaird: pairs of ours are not recognised: %v\n", err)
			return nil, nil
		case err == nil:
			f.Close()
		}
	}
	return a.load()
}

// choose sorts names into targets and domains.
func (v *verifier) choose(names []string) error {
	if len(names) == 0 {
		v.targets = targets(v.w.standing(nil))
		v.wishes(v.targets, true)
		return nil
	}
	for _, name := range names {
		normal := normalNames([]string{name})[0]
		if v.w != nil && v.w.known([]string{normal}) == nil {
			mine := targets(v.w.standing(map[string]bool{normal: true}))
			v.targets = append(v.targets, mine...)
			v.wishes(mine, false)
			continue
		}
		if v.w != nil && !strings.ContainsAny(normal, ".:") {
			return v.w.known([]string{normal})
		}
		v.domains = append(v.domains, domainWish{domain: lookName(name)})
	}
	return nil
}

// wishes adds the domains of identities whose services are configured. Who asks
// for the host's target alone is not told of what other names are needed for.
func (v *verifier) wishes(list []renew.Target, all bool) {
	for _, t := range list {
		domain := v.w.targets[t.Name].Identity
		id, ok := v.w.cfg.Identity[domain]
		if !ok || len(id.Services) == 0 {
			continue
		}
		wish := domainWish{domain: domain, services: id.Services, components: id.Components, configured: true}
		if t.Name != domain && !all {
			wish.names = t.Names
		}
		same := func(o domainWish) bool { return o.domain == domain && len(o.names) == len(wish.names) }
		if !slices.ContainsFunc(v.domains, same) {
			v.domains = append(v.domains, wish)
		}
	}
}

// all looks at everything that is asked for.
func (v *verifier) all(ctx context.Context) ([]Sight, error) {
	deployed := make([][]Sight, len(v.targets))
	var wg sync.WaitGroup
	for i, t := range v.targets {
		wg.Go(func() { deployed[i] = v.deployed(ctx, t) })
	}
	wg.Wait()
	rows := slices.Concat(deployed...)
	for _, d := range v.domains {
		found, err := v.found(ctx, d)
		if err != nil {
			return nil, err
		}
		rows = append(rows, found...)
	}
	return rows, nil
}
