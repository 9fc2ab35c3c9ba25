package dns01

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"keypaird/acme/dns01/dnsquery"

	"github.com/miekg/dns"
)

// A TLSASet is what is published at the name of TLSA records (RFC 6698), each as
// in a zone file, with hexadecimal in lower case.
type TLSASet struct {
	Records []string      // shown by every server
	Partly  []string      // shown by some of them only
	TTL     time.Duration // the longest of any answer, be it that there is no record
	Secure  bool          // the resolvers say that DNSSEC vouches for the answer
}

// TLSA looks once at every address of every authoritative server of a name, or
// at every one of Resolvers. Of authoritative servers, those that do not answer
// are passed over if another one does. An alias is followed.
func (c Checker) TLSA(ctx context.Context, name string) (TLSASet, error) {
	c = c.bounded()
	name = dns.CanonicalName(name)
	in, err := c.resolve(ctx, name, dns.TypeTLSA)
	if err != nil {
		return TLSASet{}, err
	}
	addrs := c.Resolvers
	if len(addrs) == 0 {
		var servers []server
		if name, servers, err = c.authorities(ctx, name); err != nil {
			return TLSASet{}, err
		}
		for _, s := range servers {
			addrs = append(addrs, s.addrs...)
		}
	}
	told, err := c.tlsaAt(ctx, name, addrs)
	if err != nil {
		return TLSASet{}, err
	}
	set := merge(viewOf(in), told, len(c.Resolvers) > 0)
	if err := set.bounded(name); err != nil {
		return TLSASet{}, err
	}
	return set, nil
}

// Bounds on what a name may have: what is beyond them cannot be kept, and nobody
// has it who means well.
const (
	maxTLSA      = 32       // records
	maxTLSABytes = 16 << 10 // of all, as in a zone file
)

// bounded says why a set is too large to work with.
func (s TLSASet) bounded(name string) error {
	size, n := 0, 0
	for _, r := range slices.Concat(s.Records, s.Partly) {
		size, n = size+len(r), n+1
	}
	switch {
	case n > maxTLSA:
		return fmt.Errorf("%s has %d TLSA records, more than %d", strings.TrimSuffix(name, "."), n, maxTLSA)
	case size > maxTLSABytes:
		return fmt.Errorf("%s has TLSA records of %d bytes, more than %d", strings.TrimSuffix(name, "."), size, maxTLSABytes)
	}
	return nil
}

// A tlsaView is one answer.
type tlsaView struct {
	records []string
	ttl     time.Duration
	secure  bool
}

// tlsaAt asks servers side by side. A resolver may not be silent, and one
// authoritative server at least has to answer.
func (c Checker) tlsaAt(ctx context.Context, name string, addrs []string) ([]tlsaView, error) {
	recurse := len(c.Resolvers) > 0
	views, errs := make([]*tlsaView, len(addrs)), make([]error, len(addrs))
	var wg sync.WaitGroup
	for i, addr := range addrs {
		wg.Go(func() {
			in, err := c.query(ctx, name, dns.TypeTLSA, addr, recurse)
			if err == nil {
				err = dnsquery.Check(in, recurse)
			}
			if err == nil {
				v := viewOf(in)
				views[i] = &v
				return
			}
			errs[i] = fmt.Errorf("asking %s for TLSA of %s: %w", addr, name, err)
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var told []tlsaView
	for _, v := range views {
		if v != nil {
			told = append(told, *v)
		}
	}
	silent := slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(told) == 0 || recurse && len(silent) > 0 {
		return nil, silent[0]
	}
	for _, err := range silent {
		c.log().Info("server passed over", "err", err)
	}
	return told, nil
}

// viewOf reads one answer.
func viewOf(in *dns.Msg) tlsaView {
	v := tlsaView{secure: in.AuthenticatedData, ttl: dnsquery.NegativeTTL(in)}
	for _, rr := range in.Answer {
		switch rr := rr.(type) {
		case *dns.CNAME:
		case *dns.TLSA:
			v.records = append(v.records, fmt.Sprintf("%d %d %d %s", rr.Usage, rr.Selector, rr.MatchingType, strings.ToLower(rr.Certificate)))
		default:
			continue
		}
		v.ttl = max(v.ttl, time.Duration(rr.Header().Ttl)*time.Second)
	}
	slices.Sort(v.records)
	return v
}

// merge makes one of what the resolver says and what was told by servers.
func merge(resolver tlsaView, told []tlsaView, resolvers bool) TLSASet {
	set := TLSASet{TTL: resolver.ttl, Secure: resolver.secure}
	shown := map[string]int{}
	for _, v := range told {
		set.TTL = max(set.TTL, v.ttl)
		set.Secure = set.Secure && (v.secure || !resolvers)
		for _, r := range slices.Compact(slices.Clone(v.records)) {
			shown[r]++
		}
	}
	for r, n := range shown {
		if n == len(told) {
			set.Records = append(set.Records, r)
		} else {
			set.Partly = append(set.Partly, r)
		}
	}
	slices.Sort(set.Records)
	slices.Sort(set.Partly)
	return set
}
