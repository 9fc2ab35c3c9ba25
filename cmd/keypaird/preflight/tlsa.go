package preflight

import (
	"context"
	"slices"
	"strings"

	"keypaird/cmd/keypaird/engine"
	"keypaird/renew"
	"keypaird/renew/rollover"
	"keypaird/renew/status"
	"keypaird/renew/tlsa"
)

// checkTLSA compares the TLSA records of a target with its keys.
func checkTLSA(ctx context.Context, e *engine.Engine, s status.Subject) []Finding {
	if len(s.TLSA) == 0 {
		return nil
	}
	state, err := renew.LoadState(e.Store, s.Name)
	if err == nil {
		err = renew.LoadNextKey(e.Store, s.Target, &state)
	}
	if err != nil {
		return []Finding{finding("tlsa", s.Name, "", err)}
	}
	var found []Finding
	for _, name := range s.TLSA {
		v, err := e.TLSA(ctx, s.Target, name)
		if err != nil {
			f := finding("tlsa", name, "", err)
			f.Remedy = "check that the name servers of the zone answer, or correct resolvers in its [dns.*] table; until then the key is not changed"
			found = append(found, f)
			continue
		}
		found = append(found, compareTLSA(name, v, state.Rollover(s.Target)))
		if len(v.Records) > 0 && !v.Secure {
			found = append(found, Finding{Check: "tlsa", Subject: name, Result: Warning,
				Detail: "the records are not DNSSEC-validated: peers ignore them",
				Remedy: "sign the zone; if it is signed, use a validating resolver, such as unbound on this machine",
			})
		}
	}
	return found
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
