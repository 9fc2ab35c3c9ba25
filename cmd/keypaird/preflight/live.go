package preflight

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"keypaird/acme"
	"keypaird/acme/dns01"
	"keypaird/acme/selftest"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/hooks"
	"keypaird/renew"
)

// liveTimeout is the timeout of each check that uses the network.
const liveTimeout = 3 * time.Minute

// A liveCheck tries what issuing needs without ordering anything.
type liveCheck struct {
	engine   *engine.Engine
	cas      map[string]*acme.Client
	dns      dns01.Checker
	infos    map[string]acme.Info // of CAs that answered
	accounts map[string]string    // account URLs of CAs that answered
}

// Live checks everything that issuing needs, but on a node that does not order for its
// fleet only what deploying needs. It orders nothing. The caller holds the lock of the
// engine.
func Live(ctx context.Context, e *engine.Engine) ([]Finding, error) {
	cfg, cas := e.Config, map[string]*acme.Client{}
	if cfg.OrdersHere() {
		var err error
		if cas, err = e.CAs(); err != nil {
			return nil, err
		}
	}
	found := slices.Concat(checkStateDir(cfg), checkExposed(e), checkPage(cfg), checkNotify(cfg), checkExternal(cfg, true), Sandbox(ctx, cfg), checkRemovedNames(e), checkStored(e), checkUnconfigured(e), checkLive(ctx, e, cas))
	return append(found, checkIdentities(ctx, e, found)...), nil
}

// checkLive runs the checks that use the network, those of one kind concurrently.
func checkLive(ctx context.Context, e *engine.Engine, cas map[string]*acme.Client) []Finding {
	c := &liveCheck{engine: e, cas: cas, infos: map[string]acme.Info{}, accounts: map[string]string{}}
	var found []Finding
	if e.Config.OrdersHere() {
		found = c.checkOrdering(ctx)
	}
	for _, s := range e.Targets {
		found = append(found, checkTLSA(ctx, c.engine, s)...)
		for _, d := range s.Deploy {
			found = append(found, checkDeployment(e.Deployments[d.String()], s.Name)...)
		}
	}
	return slices.Concat(found, checkServers(ctx, e), checkServed(ctx, e))
}

// checkOrdering checks what is needed to order.
func (c *liveCheck) checkOrdering(ctx context.Context) []Finding {
	found := c.checkCAs(ctx)
	var tasks []func() []Finding
	for _, s := range c.engine.Targets {
		t := c.engine.Settings[s.Name]
		for _, p := range t.Challenges {
			tasks = append(tasks, func() []Finding { return c.tryChallenge(ctx, t, p) })
		}
	}
	found = append(found, runAll(tasks)...)
	found = append(found, c.checkCAA(ctx)...)
	found = append(found, c.checkUnlistedTLSA(ctx)...)
	for _, s := range c.engine.Targets {
		found = append(found, c.renewalInfo(ctx, s)...)
	}
	return distinct(found)
}

// checkCAs fetches the directory of each CA and asks for the account: CAA and
// dns-persist-01 records name it.
func (c *liveCheck) checkCAs(ctx context.Context) []Finding {
	var found []Finding
	for _, name := range slices.Sorted(maps.Keys(c.cas)) {
		ctx, cancel := context.WithTimeout(ctx, liveTimeout)
		info, err := c.cas[name].Info(ctx)
		found = append(found, finding("ca", name, "answers", err))
		if err == nil {
			c.infos[name] = info
			found = append(found, c.checkProfiles(name, info)...)
			url, err := c.cas[name].CheckAccount(ctx)
			found = append(found, account(name, url, err))
			if err == nil {
				c.accounts[name] = url
			}
		}
		cancel()
	}
	return found
}

// account returns the findings about the account at a CA. In a fleet, one node registers it.
func account(ca, url string, err error) Finding {
	f := finding("account", ca, url, err)
	if errors.Is(err, acme.ErrNotPermitted) {
		f.Result = Warning
	}
	return f
}

// checkProfiles compares the configured profiles with those of the CA.
func (c *liveCheck) checkProfiles(ca string, info acme.Info) []Finding {
	var found []Finding
	for _, s := range c.engine.Targets {
		if s.Profile == "" || !slices.Contains(s.CAs(), ca) {
			continue
		}
		if _, ok := info.Profiles[s.Profile]; !ok {
			remedy := "set profile to one of: " + strings.Join(slices.Sorted(maps.Keys(info.Profiles)), " ")
			if len(info.Profiles) == 0 {
				remedy = "remove profile: this CA has none"
			}
			found = append(found, Finding{
				Check: "ca", Subject: ca, Result: Failed, Detail: fmt.Sprintf("has no profile %q, which target %q wants", s.Profile, s.Name), Remedy: remedy,
			})
		}
	}
	return found
}

// testThumbprint stands for the thumbprint of an account's key, and has its length.
const testThumbprint = "keypaird-check-live------------------------"

// tryChallenge publishes a challenge response for one name and validates it itself.
func (c *liveCheck) tryChallenge(ctx context.Context, t config.Target, p config.Challenge) []Finding {
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	challenge := acme.Challenge{
		Type: p.Type, Identifier: strings.TrimPrefix(p.Name, "*."), Wildcard: strings.HasPrefix(p.Name, "*."),
		Token: rand.Text(),
	}
	challenge.KeyAuth = challenge.Token + "." + testThumbprint
	var found []Finding
	switch p.Type {
	case acme.HTTP01:
		found = c.tryAddresses(ctx, challenge, c.engine.HTTP01)
	case acme.TLSALPN01:
		found = c.tryAddresses(ctx, challenge, c.engine.TLSALPN01)
	case acme.DNS01:
		err := c.engine.Accounts[p.Account].Solve(ctx, challenge, func(context.Context) error { return nil })
		found = []Finding{finding(acme.DNS01, p.Name, "record published, seen and removed through account "+p.Account, err)}
	case acme.DNSPersist01:
		found = c.tryPersist(ctx, t, challenge)
	}
	return found
}

// tryAddresses publishes a response and asks for it at every address of the name, as
// CAs do: an AAAA record of another server breaks validation.
func (c *liveCheck) tryAddresses(ctx context.Context, ch acme.Challenge, solver acme.Solver) []Finding {
	test := c.engine.Tests[ch.Type]
	addresses, err := test.Find(ctx, ch)
	if err != nil {
		return []Finding{finding(ch.Type, ch.Identifier, "", err)}
	}
	withdraw, unshared := c.engine.ShareToken(ctx, ch)
	defer withdraw()
	var found []Finding
	err = solver.Solve(ctx, ch, func(ctx context.Context) error {
		var results []selftest.Result
		if unshared == nil {
			results = test.Await(ctx, addresses, ch, liveTimeout)
		} else {
			results = test.Try(ctx, addresses, ch)
		}
		found = answered(test, ch, results, unshared)
		return nil
	})
	if err != nil {
		return []Finding{finding(ch.Type, ch.Identifier, "", err)}
	}
	return found
}

// answered returns what the answers of all addresses say. If several machines have the addresses,
// unshared is why the others do not have our token.
func answered(test *selftest.Test, ch acme.Challenge, results []selftest.Result, unshared error) (found []Finding) {
	for _, r := range results {
		f := finding(ch.Type, ch.Identifier+" at "+r.String(), "our token is served on port "+test.Port, r.Err)
		f.Addr = r.Addr
		switch {
		case test.Skips(r, results):
			f.Result = Warning
		case r.Err != nil && unshared != nil:
			f.Result, f.Detail, f.Remedy = Warning, "not tested, since other nodes could not be given our token: "+unshared.Error(), renew.Remedy(unshared)
		}
		found = append(found, f)
	}
	return found
}

// tryPersist checks the record that authorizes the account at each CA for a name.
func (c *liveCheck) tryPersist(ctx context.Context, t config.Target, ch acme.Challenge) []Finding {
	var found []Finding
	for _, ca := range t.SignWith {
		info, ok := c.infos[ca]
		if !ok || c.accounts[ca] == "" {
			continue // reported already
		}
		ch.Issuers, ch.AccountURL = info.Identities, c.accounts[ca]
		if len(ch.Issuers) == 0 {
			found = append(found, Finding{Check: acme.DNSPersist01, Subject: ch.Identifier, Result: Warning,
				Detail: ca + " publishes no issuer domain name, so the record cannot be checked"})
			continue
		}
		err := c.engine.Persist.Check(ctx, ch)
		found = append(found, finding(acme.DNSPersist01, ch.Identifier, "the record for "+ca+" is there", err))
	}
	return found
}

// renewalInfo reports when the CA wants the live certificate replaced (RFC 9773).
func (c *liveCheck) renewalInfo(ctx context.Context, s renew.Target) []Finding {
	state, err := renew.LoadState(c.engine.Store, s)
	if err != nil || state.Leaf == nil || !c.infos[state.Record.CA].RenewalInfo {
		return nil // nothing is stored, or its CA has no renewal information
	}
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	info, err := c.cas[state.Record.CA].RenewalInfo(ctx, state.Leaf)
	if err != nil {
		return []Finding{{Check: "renewal-info", Subject: s.Name, Result: Warning, Detail: err.Error()}}
	}
	detail := fmt.Sprintf("the CA wants it replaced between %s and %s", info.Start.Format(time.RFC3339), info.End.Format(time.RFC3339))
	if info.Explanation != "" {
		detail += ", see " + info.Explanation
	}
	return []Finding{{Check: "renewal-info", Subject: s.Name, Result: Good, Detail: detail}}
}

// checkDeployment checks that a deployment can write its files and run its commands.
func checkDeployment(d *hooks.Deployment, target string) []Finding {
	subject := d.Name + " for " + target
	found := []Finding{finding("deploy", subject, "files can be written", d.Writable(target))}
	if err := d.Runnable(); err != nil {
		found = append(found, finding("deploy", subject, "", err))
	}
	for _, text := range d.Warnings(target) {
		found = append(found, Finding{Check: "deploy", Subject: subject, Result: Warning, Detail: text})
	}
	return found
}
