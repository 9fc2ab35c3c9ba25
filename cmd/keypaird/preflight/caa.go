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

// A grant is what CAA records say of one name: which there are, and where.
type grant struct {
	target  config.Target
	proof   config.Challenge
	records []dns01.CAA
	at      string // their owner
	err     error
}

func (g *grant) wildcard() bool { return strings.HasPrefix(g.proof.Name, "*.") }

// caa compares the CAA records that hold for each name with each CA (RFC 8659,
// and RFC 8657 for accounturi and validationmethods).
func (c *liveCheck) caa(ctx context.Context) []Finding {
	var grants []*grant
	var tasks []func() []Finding
	for _, s := range c.w.Targets {
		t := c.w.Settings[s.Name]
		for _, p := range t.Challenges {
			if net.ParseIP(p.Name) != nil {
				continue
			}
			g := &grant{target: t, proof: p}
			grants = append(grants, g)
			tasks = append(tasks, func() []Finding {
				ctx, cancel := context.WithTimeout(ctx, liveTimeout)
				defer cancel()
				g.records, g.at, g.err = c.dns.CAA(ctx, strings.TrimPrefix(p.Name, "*."))
				return nil
			})
		}
	}
	sideBySide(tasks)
	var found []Finding
	for _, g := range grants {
		found = append(found, c.granted(g, grants)...)
	}
	return found
}

// granted says of each CA of a name whether it may issue.
func (c *liveCheck) granted(g *grant, all []*grant) []Finding {
	if g.err != nil {
		f := finding("caa", g.proof.Name, "", g.err)
		if f.Remedy == "" {
			f.Remedy = "CAs refuse to issue when CAA cannot be looked up: see that the zone's servers answer CAA queries"
		}
		return []Finding{f}
	}
	var found []Finding
	for _, ca := range g.target.SignWith {
		info, ok := c.infos[ca]
		if !ok {
			continue
		}
		applicant := dns01.Applicant{
			Issuers: info.Identities, AccountURL: c.accounts[ca], Method: g.proof.Type, Wildcard: g.wildcard(),
		}
		why := dns01.Refusal(g.records, applicant)
		f := Finding{Check: "caa", Subject: g.proof.Name, Result: Good, Detail: ca + " may issue"}
		if why != "" {
			f.Result, f.Detail = Failed, fmt.Sprintf("the records at %s do not let %s issue: %s", g.at, ca, why)
			applicant.Method = methods(g, ca, all)
			f.Remedy = "add this record, or change the one there: " + dns01.Permission(g.at, applicant)
		}
		found = append(found, f)
	}
	return found
}

// methods are the validation methods that one record has to allow, so that it
// does for all names of ours it holds for, and no two are asked for.
func methods(g *grant, ca string, all []*grant) string {
	var list []string
	for _, o := range all {
		if o.err == nil && o.at == g.at && o.wildcard() == g.wildcard() && slices.Contains(o.target.SignWith, ca) && !slices.Contains(list, o.proof.Type) {
			list = append(list, o.proof.Type)
		}
	}
	slices.Sort(list)
	return strings.Join(list, ",")
}
