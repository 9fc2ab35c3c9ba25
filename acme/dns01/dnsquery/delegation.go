package dnsquery

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"keypaird/renew/problem"
)

// maxChain bounds the CNAMEs from one name, as resolvers do.
const maxChain = 16

// Delegation returns the names from name to where a TXT record for it has to be
// published: the CNAMEs on the way are records of their own. A CNAME that a wildcard
// synthesizes (RFC 4592) is not followed: a record at the name itself replaces it.
func Delegation(ctx context.Context, resolvers []string, name string) ([]string, error) {
	chain := []string{dns.CanonicalName(name)}
	for {
		at := chain[len(chain)-1]
		target, in, err := cname(ctx, resolvers, at)
		if err != nil {
			return nil, problem.Newf("make the resolvers answer for that name, or set others: resolvers = [\"host:port\"] in the account's [dns] table",
				"cannot find out whether %s is a CNAME: %w", trace(chain), err)
		}
		if target == "" {
			return chain, deadEnd(chain, in)
		}
		wild, err := synthesized(ctx, resolvers, at, target)
		if err != nil {
			return nil, problem.Newf("make the resolvers answer for the names beside it, or set others: resolvers = [\"host:port\"] in the account's [dns] table",
				"cannot find out whether the CNAME of %s is that of a wildcard: %w", trace(chain), err)
		}
		if wild {
			return chain, nil
		}
		loop := slices.Contains(chain, target)
		chain = append(chain, target)
		if loop || len(chain) > maxChain {
			why := fmt.Sprintf("more than %d CNAMEs", maxChain)
			if loop {
				why = "the CNAMEs go round in a loop"
			}
			return nil, problem.Newf("let the last CNAME lead to the name at which the account may publish TXT records", "%s: %s", trace(chain), why)
		}
	}
}

// trace writes the names that CNAMEs lead through.
func trace(chain []string) string { return strings.Join(chain, " -> ") }

// deadEnd returns an error if the last of several names is below a top-level domain that
// does not exist. in is the answer for it.
func deadEnd(chain []string, in *dns.Msg) error {
	if len(chain) == 1 || in.Rcode != dns.RcodeNameError || soaOwner(in) != "." {
		return nil
	}
	return problem.Newf("correct or remove that CNAME record", "%s: the CNAME leads to a domain that does not exist", trace(chain))
}

// cname returns the target of the CNAME of a name, or "", and the answer.
func cname(ctx context.Context, resolvers []string, name string) (target string, in *dns.Msg, err error) {
	in, _, err = Query{Name: name, Type: dns.TypeCNAME, Timeout: maxUDPWait}.Resolve(ctx, resolvers)
	if err != nil {
		return "", nil, err
	}
	return Target(in, name), in, nil
}

// Target returns the target of the CNAME of name in an answer, or "".
func Target(in *dns.Msg, name string) string {
	for _, rr := range in.Answer {
		if c, ok := rr.(*dns.CNAME); ok && strings.EqualFold(c.Hdr.Name, name) {
			return dns.CanonicalName(c.Target)
		}
	}
	return ""
}

// synthesized reports whether a wildcard is the source of a CNAME: a random name beside
// it has the same. Those beside the names above are asked too, since a record that
// was published meanwhile ends the wildcard for those beside it (RFC 4592, section
// 2.2.2), while a resolver repeats the old answer for the name.
func synthesized(ctx context.Context, resolvers []string, name, target string) (bool, error) {
	for {
		i, end := dns.NextLabel(name, 0)
		if end {
			return false, nil
		}
		name = name[i:]
		found, in, err := cname(ctx, resolvers, beside(name))
		if err != nil {
			return false, err
		}
		if found == target {
			return true, nil
		}
		if soaOwner(in) == name || dns.CountLabel(name) < 2 {
			return false, nil // above are other zones
		}
	}
}

// beside returns a random name below parent that is not too long.
func beside(parent string) string {
	const longest = 254 // with the final dot: 255 octets in a message (RFC 1035, section 2.3.4)
	label := "_" + strings.ToLower(rand.Text())
	return label[:min(len(label), longest-1-len(parent))] + "." + parent
}

// soaOwner returns the zone that an answer without records is from, or "".
func soaOwner(in *dns.Msg) string {
	for _, rr := range in.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return dns.CanonicalName(soa.Hdr.Name)
		}
	}
	return ""
}
