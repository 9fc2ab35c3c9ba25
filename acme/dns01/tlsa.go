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

// A TLSASet holds the TLSA records of a name (RFC 6698), each as in a zone file with
// hexadecimal in lower case.
type TLSASet struct {
	Records []string      // at every server
	Partly  []string      // at some of them only
	TTL     time.Duration // the longest of any answer, negative ones included
	Secure  bool          // the resolvers have validated the answer with DNSSEC
}

// TLSA queries once every address of every authoritative server of a name, or every
// one of Resolvers. Authoritative servers that do not answer are skipped if another
// one does. CNAMEs are followed.
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
		if name, servers, err = c.authorities(ctx, name, true); err != nil {
			return TLSASet{}, err
		}
		for _, s := range servers {
			addrs = append(addrs, s.addrs...)
		}
	}
	answered, err := c.tlsaAt(ctx, name, addrs)
	if err != nil {
		return TLSASet{}, err
	}
	set := merge(tlsaRecords(in), answered, len(c.Resolvers) > 0)
	if err := set.bounded(name); err != nil {
		return TLSASet{}, err
	}
	return set, nil
}

// Limits on the records of one name, above any legitimate use.
const (
	maxTLSA      = 32       // records
	maxTLSABytes = 16 << 10 // of all, as in a zone file
)

// bounded returns an error if a set is larger than the limits.
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

// A tlsaAnswer holds the records of one answer.
type tlsaAnswer struct {
	records []string
	ttl     time.Duration
	secure  bool
}

// tlsaAt queries servers in parallel. Every resolver has to answer, or at least one
// authoritative server.
func (c Checker) tlsaAt(ctx context.Context, name string, addrs []string) ([]tlsaAnswer, error) {
	recurse := len(c.Resolvers) > 0
	answers, errs := make([]*tlsaAnswer, len(addrs)), make([]error, len(addrs))
	var wg sync.WaitGroup
	for i, addr := range addrs {
		wg.Go(func() {
			in, err := c.query(ctx, name, dns.TypeTLSA, addr, recurse)
			if err == nil {
				err = dnsquery.Check(in, recurse)
			}
			if err == nil {
				v := tlsaRecords(in)
				answers[i] = &v
				return
			}
			errs[i] = fmt.Errorf("asking %s for TLSA of %s: %w", addr, name, err)
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var answered []tlsaAnswer
	for _, v := range answers {
		if v != nil {
			answered = append(answered, *v)
		}
	}
	silent := slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(answered) == 0 || recurse && len(silent) > 0 {
		return nil, silent[0]
	}
	for _, err := range silent {
		c.log().Info("name server skipped", "err", err)
	}
	return answered, nil
}

// tlsaRecords reads one answer.
func tlsaRecords(in *dns.Msg) tlsaAnswer {
	v := tlsaAnswer{secure: in.AuthenticatedData}
	v.ttl, _ = dnsquery.NegativeTTL(in)
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

// merge combines the answers of the resolver and the servers.
func merge(resolver tlsaAnswer, answered []tlsaAnswer, resolvers bool) TLSASet {
	set := TLSASet{TTL: resolver.ttl, Secure: resolver.secure}
	count := map[string]int{}
	for _, v := range answered {
		set.TTL = max(set.TTL, v.ttl)
		set.Secure = set.Secure && (v.secure || !resolvers)
		for _, r := range slices.Compact(slices.Clone(v.records)) {
			count[r]++
		}
	}
	for r, n := range count {
		if n == len(answered) {
			set.Records = append(set.Records, r)
		} else {
			set.Partly = append(set.Partly, r)
		}
	}
	slices.Sort(set.Records)
	slices.Sort(set.Partly)
	return set
}
