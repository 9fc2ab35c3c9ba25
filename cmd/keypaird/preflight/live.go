package preflight

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"keypaird/acme"
	"keypaird/acme/dns01"
	"keypaird/acme/http01"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/hooks"
	"keypaird/renew"
)

// liveTimeout bounds each check that goes out to the world.
const liveTimeout = 3 * time.Minute

// A liveCheck tries what issuing needs without ordering anything.
type liveCheck struct {
	w        *engine.Engine
	cas      map[string]*acme.Client
	dns      dns01.Checker
	infos    map[string]acme.Info // of the CAs that answered
	accounts map[string]string    // account URLs, likewise
}

// Live tries everything that issuing needs with the parts of an engine, whose
// lock the caller holds. It orders nothing.
func Live(ctx context.Context, w *engine.Engine, cas map[string]*acme.Client) []Finding {
	cfg := w.Config
	found := slices.Concat(checkPage(cfg), checkNotify(cfg), checkBought(cfg, true), checkLost(w), checkStored(w), checkLive(ctx, w, cas))
	return append(found, checkIdentities(ctx, w, found)...)
}

// checkLive runs every check, those of one kind side by side.
func checkLive(ctx context.Context, w *engine.Engine, cas map[string]*acme.Client) []Finding {
	c := &liveCheck{w: w, cas: cas, infos: map[string]acme.Info{}, accounts: map[string]string{}}
	found := c.authorities(ctx)
	var tasks []func() []Finding
	for _, s := range w.Targets {
		t := w.Settings[s.Name]
		for _, p := range t.Challenges {
			tasks = append(tasks, func() []Finding { return c.name(ctx, t, p) })
		}
	}
	found = append(found, sideBySide(tasks)...)
	found = append(found, c.caa(ctx)...)
	for _, s := range w.Targets {
		found = append(found, c.advice(ctx, s)...)
		found = append(found, checkTLSA(ctx, c.w, s)...)
		for _, d := range s.Deploy {
			found = append(found, deployable(w.Deployments[d.String()], s.Name)...)
		}
	}
	return found
}

// authorities asks each CA what it is, and opens the account with it: CAA and
// dns-persist-01 records name the account.
func (c *liveCheck) authorities(ctx context.Context) []Finding {
	var found []Finding
	for _, name := range slices.Sorted(maps.Keys(c.cas)) {
		ctx, cancel := context.WithTimeout(ctx, liveTimeout)
		info, err := c.cas[name].Info(ctx)
		found = append(found, finding("ca", name, "answers", err))
		if err == nil {
			c.infos[name] = info
			found = append(found, c.profiles(name, info)...)
			url, err := c.cas[name].Account(ctx)
			found = append(found, finding("account", name, url, err))
			c.accounts[name] = url
		}
		cancel()
	}
	return found
}

// profiles compares the profiles configured with those the CA offers.
func (c *liveCheck) profiles(ca string, info acme.Info) []Finding {
	var found []Finding
	for _, s := range c.w.Targets {
		if s.Profile == "" || !slices.Contains(s.CAs(), ca) {
			continue
		}
		if _, ok := info.Profiles[s.Profile]; !ok {
			found = append(found, Finding{
				Check: "ca", Subject: ca, Result: Failed, Detail: fmt.Sprintf("does not offer the profile %q of target %q", s.Profile, s.Name),
				Remedy: "set profile to one of: " + strings.Join(slices.Sorted(maps.Keys(info.Profiles)), " "),
			})
		}
	}
	return found
}

// name tries to prove one name to ourselves.
func (c *liveCheck) name(ctx context.Context, t config.Target, p config.Challenge) []Finding {
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	challenge := acme.Challenge{
		Type: p.Type, Identifier: strings.TrimPrefix(p.Name, "*."), Wildcard: strings.HasPrefix(p.Name, "*."),
		Token: rand.Text(),
	}
	challenge.KeyAuth = challenge.Token + ".keypaird-check-live"
	var found []Finding
	switch p.Type {
	case acme.HTTP01:
		found = c.tryHTTP(ctx, challenge)
	case acme.DNS01:
		err := c.w.Accounts[p.Account].Solve(ctx, challenge, func(context.Context) error { return nil })
		found = []Finding{finding(acme.DNS01, p.Name, "record published, seen and removed through account "+p.Account, err)}
	case acme.DNSPersist01:
		found = c.tryPersist(ctx, t, challenge)
	}
	return found
}

// tryHTTP publishes a token and asks for it at every address of the name, as
// CAs do, one by one: an AAAA record that leads elsewhere breaks validation.
func (c *liveCheck) tryHTTP(ctx context.Context, ch acme.Challenge) []Finding {
	addresses, err := c.dns.Addresses(ctx, ch.Identifier)
	if err == nil && len(addresses) == 0 {
		err = &noAddressError{ch.Identifier}
	}
	if err != nil {
		f := finding(acme.HTTP01, ch.Identifier, "", err)
		if f.Remedy == "" {
			f.Remedy = addressRemedy(err)
		}
		return []Finding{f}
	}
	var found []Finding
	err = c.w.HTTP01.Solve(ctx, ch, func(ctx context.Context) error {
		for _, a := range addresses {
			addr := net.JoinHostPort(a.String(), "80")
			body, err := http01.Get(ctx, addr, ch.Identifier, ch.Token)
			if err == nil && body != ch.KeyAuth {
				err = errOtherAnswer
			}
			f := finding(acme.HTTP01, ch.Identifier+" at "+a.String(), "our token is served on port 80", err)
			var refused net.Error
			switch {
			case err != nil && !errors.As(err, &refused):
				f.Remedy = c.passOn()
			case err != nil:
				f.Remedy = "CAs will not reach us there either, unless this network hides our own address from us (hairpin NAT): correct the record of that address, the firewall, or the server on port 80"
			}
			found = append(found, f)
		}
		return nil
	})
	if err != nil {
		return []Finding{finding(acme.HTTP01, ch.Identifier, "", err)}
	}
	return found
}

// passOn is what the server on port 80 has to do, and does not.
func (c *liveCheck) passOn() string {
	if root := c.w.Config.HTTP01.Webroot; root != "" {
		return "another server answers there: correct the record if it is not this machine's, or have that server show the files of " + root + " as " + http01.Path
	}
	return "another server answers there: correct the record if it is not this machine's, or have that server pass " + http01.Path + " on to [http-01] listen"
}

// addressRemedy is for a name whose addresses could not be had.
func addressRemedy(err error) string {
	var unheard net.Error
	if errors.As(err, &unheard) {
		return "no resolver answers: see that those in /etc/resolv.conf can be reached from this machine"
	}
	return "see that the name is right, that it has an A or AAAA record, and that the resolvers in /etc/resolv.conf know it"
}

var errOtherAnswer = fmt.Errorf("something else than our token is served")

type noAddressError struct{ name string }

func (e *noAddressError) Error() string { return e.name + " has no address" }

// Remedy says what the operator can do about it.
func (e *noAddressError) Remedy() string {
	return "add an A or AAAA record for it, or prove it by dns-01"
}

// tryPersist looks for the record that lets each CA's account certify a name.
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
				Detail: ca + " does not say its issuer domain name, so the record cannot be checked"})
			continue
		}
		err := c.w.Persist.Check(ctx, ch)
		found = append(found, finding(acme.DNSPersist01, ch.Identifier, "the record for "+ca+" is there", err))
	}
	return found
}

// advice is when the CA wants the live certificate replaced (RFC 9773).
func (c *liveCheck) advice(ctx context.Context, s renew.Target) []Finding {
	state, err := renew.LoadState(c.w.Store, s)
	if err != nil || state.Leaf == nil || !c.infos[state.Record.CA].RenewalInfo {
		return nil // nothing is stored, or its CA gives no advice
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

// deployable looks whether a deployment could be done.
func deployable(d *hooks.Deployment, target string) []Finding {
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
