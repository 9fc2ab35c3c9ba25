package preflight

import (
	"context"
	"slices"
	"strings"

	"keypaird/cmd/keypaird/engine"
	"keypaird/renew"
	"keypaird/renew/rollover"
	"keypaird/renew/tlsa"
)

// checkTLSA compares the TLSA records of a target with its keys.
func checkTLSA(ctx context.Context, w *engine.Engine, s renew.Target) []Finding {
	if len(s.TLSA) == 0 {
		return nil
	}
	state, err := renew.LoadState(w.Store, s)
	if err == nil {
		err = renew.LoadNextKey(w.Store, s, &state)
	}
	if err != nil {
		return []Finding{finding("tlsa", s.Name, "", err)}
	}
	var found []Finding
	for _, name := range s.TLSA {
		v, err := s.Resolver.TLSA(ctx, name)
		if err != nil {
			f := finding("tlsa", name, "", err)
			f.Remedy = "see that the name servers of the zone answer, or correct resolvers in its [dns.*] table; nothing follows from this, but the key is not changed"
			found = append(found, f)
			continue
		}
		found = append(found, compareTLSA(name, v, state.Rollover(s)))
		if len(v.Records) > 0 && !v.Secure {
			found = append(found, Finding{Check: "tlsa", Subject: name, Result: Warning,
				Detail: "the resolver does not say that DNSSEC vouches for the records: peers heed them only if it does",
				Remedy: "sign the zone; or, if it is signed, ask a resolver that validates, such as unbound on this machine",
			})
		}
	}
	return found
}

// compareTLSA says what is missing of the records at a name.
func compareTLSA(name string, v rollover.RecordSet, s rollover.State) Finding {
	f := Finding{Check: "tlsa", Subject: name, Result: Good, Detail: "the records of the key in use and of the next key are there"}
	refused, missing := s.InUse != nil && tlsa.Refuses(v.Records, s.InUse), s.MissingAt(name, v.Records)
	switch {
	case s.Newest == nil && len(missing) == 0:
		f.Detail = "no key was made yet: keypaird issue makes two and says which records to publish"
	case len(v.Records) > 0 && !slices.ContainsFunc(v.Records, tlsa.Usable):
		f.Result, f.Detail = Warning, "none of the records can be used: peers encrypt, but check nothing"
	case refused:
		f.Result, f.Detail = Failed, "none of the records is that of the key in use: peers that heed them refuse it"
	case len(missing) > 0:
		f.Result, f.Detail = Warning, "not all records are there: the next renewal keeps the key"
	}
	if len(missing) > 0 {
		f.Remedy = "publish this: " + strings.Join(missing, "\n")
	}
	return f
}
