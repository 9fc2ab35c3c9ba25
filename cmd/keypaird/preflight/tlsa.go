package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/config/hostname"
	"keypaird/cmd/keypaird/engine"
	"keypaird/renew"
	"keypaird/renew/rollover"
	"keypaird/renew/tlsa"
)

// checkTLSA compares the TLSA records of a target with its keys.
func checkTLSA(ctx context.Context, e *engine.Engine, s renew.Target) []Finding {
	if len(s.TLSA) == 0 {
		return nil
	}
	state, err := renew.LoadState(e.Store, s)
	if err == nil {
		err = renew.LoadNextKey(e.Store, s, &state)
	}
	if err != nil {
		return []Finding{finding("tlsa", s.Name, "", err)}
	}
	var found []Finding
	for _, name := range s.TLSA {
		v, err := s.Resolver.TLSA(ctx, name)
		if err != nil {
			f := finding("tlsa", name, "", err)
			f.Remedy = "check that the name servers of the zone answer, or correct resolvers in its [dns.*] table; until then the key is not changed"
			found = append(found, f)
			continue
		}
		found = append(found, compareTLSA(name, v, state.Rollover(s)))
		if len(v.Records) > 0 && !v.Secure {
			found = append(found, Finding{Check: "tlsa", Subject: name, Result: Warning,
				Detail: "the records are not DNSSEC-validated: peers ignore them",
				Remedy: "sign the zone; if it is signed, use a validating resolver, such as unbound on this machine",
			})
		}
	}
	return found
}

// checkUnlistedTLSA warns of names of targets with TLSA records for SMTP that no tlsa
// lists: a renewal changes the key that they are about.
func (c *liveCheck) checkUnlistedTLSA(ctx context.Context) []Finding {
	listed := map[string]bool{}
	for _, s := range c.engine.Targets {
		for _, name := range s.TLSA {
			listed[name] = true
		}
	}
	var tasks []func() []Finding
	for _, s := range c.engine.Targets {
		for _, host := range c.engine.Names(s) {
			name := "_25._tcp." + host
			if listed[name] || hostname.IsAddress(host) || strings.HasPrefix(host, "*.") {
				continue
			}
			listed[name] = true // once
			tasks = append(tasks, func() []Finding {
				ctx, cancel := context.WithTimeout(ctx, liveTimeout)
				defer cancel()
				set, err := c.dns.TLSA(ctx, name)
				if err != nil {
					return nil // it is not known that there are any
				}
				return unlistedTLSA(c.engine.Settings[s.Name], name, set.Records)
			})
		}
	}
	return runAll(tasks)
}

// unlistedTLSA returns the finding about the records at a name, if they name the key of
// a server.
func unlistedTLSA(t config.Target, name string, published []string) []Finding {
	if !slices.ContainsFunc(published, func(text string) bool { rr := tlsa.Parse(text); return rr.Unusable() == "" && rr.Usage == 3 }) {
		return nil
	}
	remedy := fmt.Sprintf("tlsa = [%q] in [cert.%q]", name, t.Name)
	if t.Identity != "" {
		remedy = fmt.Sprintf("an [identity] has no tlsa: use a [cert] table for each of its names, with tlsa = [%q] in that of the host", name)
	}
	return []Finding{{
		Check: "tlsa", Subject: name, Result: Warning, Remedy: remedy,
		Detail: fmt.Sprintf("there are TLSA records, and no tlsa lists them: the next renewal of %q changes the key, and peers that check DANE refuse it", t.Name),
	}}
}

// compareTLSA compares the records at a name with those that should be there.
func compareTLSA(name string, v rollover.RecordSet, s rollover.State) Finding {
	f := Finding{Check: "tlsa", Subject: name, Result: Good, Detail: "the records of the key in use and of the next key are published"}
	refused, missing := s.InUse != nil && tlsa.Refuses(v.Records, s.InUse), s.MissingAt(name, v.Records)
	switch {
	case s.Newest == nil && len(missing) == 0:
		f.Detail = "there is no key yet: keypaird issue makes two and prints the records to publish"
	case len(v.Records) > 0 && !slices.ContainsFunc(v.Records, tlsa.Usable):
		f.Result, f.Detail = Warning, "no record is usable: peers encrypt without authentication"
	case refused:
		f.Result, f.Detail = Failed, "no record matches the key in use: peers that check TLSA records refuse it"
	case len(missing) > 0:
		f.Result, f.Detail = Warning, "records are missing: the next renewal keeps the key"
	}
	if len(missing) > 0 {
		f.Remedy = "publish this: " + strings.Join(missing, "\n")
	}
	return f
}
