package preflight

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"keypaird/acme/dns01"
	"keypaird/cmd/keypaird/config"
)

// A caaLookup is the CAA record set that applies to one name.
type caaLookup struct {
	target    config.Target
	challenge config.Challenge
	set       dns01.CAASet
	err       error
}

func (l *caaLookup) wildcard() bool { return strings.HasPrefix(l.challenge.Name, "*.") }

// checkCAA checks for each name that its CAA records allow its CAs to issue (RFC
// 8659, and RFC 8657 for accounturi and validationmethods).
func (c *liveCheck) checkCAA(ctx context.Context) []Finding {
	var lookups []*caaLookup
	var tasks []func() []Finding
	for _, s := range c.engine.Targets {
		t := c.engine.Settings[s.Name]
		for _, p := range t.Challenges {
			if net.ParseIP(p.Name) != nil {
				continue
			}
			l := &caaLookup{target: t, challenge: p}
			lookups = append(lookups, l)
			tasks = append(tasks, func() []Finding {
				ctx, cancel := context.WithTimeout(ctx, liveTimeout)
				defer cancel()
				l.set, l.err = c.dns.CAA(ctx, strings.TrimPrefix(p.Name, "*."))
				return nil
			})
		}
	}
	runAll(tasks)
	var found []Finding
	for _, l := range lookups {
		found = append(found, c.compareCAA(l, lookups)...)
	}
	return found
}

// compareCAA reports for each CA of a name whether it may issue.
func (c *liveCheck) compareCAA(l *caaLookup, all []*caaLookup) []Finding {
	if l.err != nil {
		f := finding("caa", l.challenge.Name, "", l.err)
		if f.Remedy == "" {
			f.Remedy = "check that the zone's name servers answer CAA queries: without an answer no CA issues"
		}
		if !slices.ContainsFunc(l.target.SignWith, c.readsCAA) {
			f.Result = Warning
			f.Remedy = "see that the zone's name servers answer CAA queries, if the CA reads CAA records: it names no caaIdentities"
		}
		return []Finding{f}
	}
	var found []Finding
	for _, ca := range l.target.SignWith {
		info, ok := c.infos[ca]
		if !ok {
			continue
		}
		applicant := dns01.Applicant{
			Issuers: info.Identities, AccountURL: c.accounts[ca], Method: l.challenge.Type, Wildcard: l.wildcard(),
		}
		why := dns01.Refusal(l.set.Records, applicant)
		f := Finding{Check: "caa", Subject: l.challenge.Name, Result: Good, Detail: ca + " may issue"}
		if why != "" {
			f.Result, f.Detail = Failed, fmt.Sprintf("the records at %v do not let %s issue: %s", l.set, ca, why)
			applicant.Method = methods(l, ca, all)
			f.Remedy = l.set.Remedy(applicant)
		}
		found = append(found, f)
	}
	return found
}

// readsCAA reports whether a CA reads CAA records: all that are built in do. Private ones may
// certify names in networks with resolvers that do not know the domains above.
func (c *liveCheck) readsCAA(ca string) bool {
	info, known := c.infos[ca]
	return c.engine.Config.CA[ca].Directory == "" || !known || len(info.Identities) > 0
}

// methods returns the validation methods that a record at the owner has to allow for
// all names that it applies to.
func methods(l *caaLookup, ca string, all []*caaLookup) string {
	var list []string
	for _, o := range all {
		if o.err == nil && o.set.Owner == l.set.Owner && o.wildcard() == l.wildcard() && slices.Contains(o.target.SignWith, ca) && !slices.Contains(list, o.challenge.Type) {
			list = append(list, o.challenge.Type)
		}
	}
	slices.Sort(list)
	return strings.Join(list, ",")
}
