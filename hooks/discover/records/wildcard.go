package records

import (
	"context"
	"net/netip"
	"slices"
	"strings"
)

// Unpublished returns a label that nobody has published.
func (r *Resolver) Unpublished() string { return r.label }

// sibling returns a name beside this one that exists only by a wildcard.
func (r *Resolver) sibling(name string) string {
	_, parent, _ := strings.Cut(name, ".")
	return r.label + "." + parent
}

// HostPublished is Addresses for a host with a guessed name: one that has its
// addresses from a wildcard alone, as any name beside it has, is absent.
func (r *Resolver) HostPublished(ctx context.Context, host string) Site {
	at := r.Addresses(ctx, host)
	if at.State != Found || r.Given(host) {
		return at
	}
	any := r.Addresses(ctx, r.sibling(host))
	if any.State != Found || !slices.EqualFunc(at.Addrs, any.Addrs, func(a, b netip.Addr) bool { return a == b }) {
		return at
	}
	at.State, at.Addrs, at.Incomplete = Absent, nil, ""
	at.Why, at.Reason = host+" has its address from a wildcard", "only a wildcard has that name"
	return at
}

// byWildcard reports whether any name beside that of the set has the same records.
func (r *Resolver) byWildcard(ctx context.Context, set Reply) bool {
	any := r.Query(ctx, r.sibling(set.Name), set.kind)
	return any.State == Found && any.data() == set.data()
}

// data returns the records without their owner, whatever order they are in.
func (rep Reply) data() string {
	var texts []string
	for _, rr := range rep.RRs {
		texts = append(texts, rdata(rr))
	}
	slices.Sort(texts)
	return strings.Join(texts, "\n")
}
