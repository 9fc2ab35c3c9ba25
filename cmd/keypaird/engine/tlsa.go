package engine

import (
	"context"
	"errors"
	"time"

	"keypaird/acme/dns01"
	"keypaird/cmd/keypaird/config"
	"keypaird/renew"
	"keypaird/renew/rollover"
)

// viewTimeout bounds one look at TLSA records.
const viewTimeout = 20 * time.Second

var errNoView = errors.New("the name servers do not answer in time")

// TLSA implements renew.Resolver.
func (e *Engine) TLSA(ctx context.Context, t renew.Target, name string) (rollover.RecordSet, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, viewTimeout, errNoView)
	defer cancel()
	checker := dns01.Checker{Resolvers: e.resolversOf(e.Targets[t.Name], name), Log: e.options.Log}
	set, err := checker.TLSA(ctx, name)
	return rollover.RecordSet(set), err
}

// resolversOf are whom to ask about the TLSA records of a host: those of the
// account that proves it, for they may know no other zone. None: its authoritative
// servers.
func (e *Engine) resolversOf(t config.Target, name string) (resolvers []string) {
	_, host, _ := config.TLSAName(name)
	for _, p := range t.Challenges {
		if a := e.Accounts[p.Account]; a != nil && config.Covers(p.Name, host, false) {
			if resolvers = a.Resolvers; p.Name == host {
				break
			}
		}
	}
	return resolvers
}
