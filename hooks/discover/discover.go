package discover

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"keypaird/hooks/discover/records"
	"keypaird/hooks/discover/web"
	"keypaird/renew/netaddr"
	"keypaird/renew/problem"
)

// The default bounds of a Discoverer.
const (
	DefaultQuery = 3 * time.Second
	DefaultFetch = 10 * time.Second
	DefaultLimit = time.Minute
)

// A Discoverer finds what services need. The zero value uses the resolvers of the
// system.
type Discoverer struct {
	// Resolvers are addresses, with a port if it is not 53, that are queried in
	// order. Their DNSSEC validation is trusted. Empty: those of
	// /etc/resolv.conf.
	Resolvers []string
	// Resolve gives names other addresses than those in DNS, to test a change
	// before it is published. The names are in lower case.
	Resolve map[string][]netip.Addr
	// Roots are the trusted CAs; nil: those of the system.
	Roots *x509.CertPool
	// Dial connects to web servers; nil: as net.Dialer does.
	Dial web.Dial
	// Ask also queries the Matrix servers that were found for their names.
	Ask bool

	Query time.Duration // of one attempt at one resolver; zero means DefaultQuery
	Fetch time.Duration // of one document with its redirects; zero means DefaultFetch
	Limit time.Duration // of one Discover; zero means DefaultLimit
	Log   *slog.Logger  // nil: no log
}

// A finder finds the rows of one service.
type finder func(ctx context.Context, l *lookup, s *section)

// A service can be selected by its name.
type service struct {
	name    string
	finders []finder
}

// services is in the order of an Answer. "mail" means "smtp" and "imap".
var services = []service{
	{"matrix", []finder{findFederation, findMatrixClient}},
	{"xmpp", []finder{findXMPP, findHostMeta}},
	{"smtp", []finder{findSMTP}},
	{"imap", []finder{findMailAccess, findAutoconfig}},
	{"caldav", []finder{findDAV}},
	{"sip", []finder{findSIP}},
	{"web", []finder{findWeb}},
}

// Services returns the names that select services.
func Services() []string {
	list := []string{"mail"}
	for _, s := range services {
		list = append(list, s.name)
	}
	slices.Sort(list)
	return list
}

// Discover finds what the services of a domain need; no services: all of them.
// Components are further XMPP domains, such as conference.example.org. If the only
// service is "matrix", the domain may be any server name, with a port or an IP
// address. An error means that an argument is wrong or ctx has ended: failed
// queries are part of the Answer.
func (d *Discoverer) Discover(ctx context.Context, domain string, names, components []string) (Answer, error) {
	s, err := d.Begin(domain, names, components)
	if err != nil {
		return Answer{}, err
	}
	return s.Answer(ctx)
}

// A Session is the discovery of one domain. It sends no query twice.
type Session struct {
	lookup
	d        *Discoverer
	services []service
	limit    time.Duration
}

// Begin checks the arguments of Discover. It sends no queries.
func (d *Discoverer) Begin(domain string, names, components []string) (*Session, error) {
	log := d.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Session{d: d, limit: orElse(d.Limit, DefaultLimit)}
	s.asks = d.Ask
	s.Resolver = records.NewResolver(d.Resolvers, d.Resolve, orElse(d.Query, DefaultQuery), log)
	s.Fetcher = web.NewFetcher(s.Resolver, d.Roots, orElse(d.Fetch, DefaultFetch), d.Dial, log)
	var err error
	if s.name, err = records.ParseServerName(strings.TrimSuffix(domain, ".")); err != nil {
		return nil, err
	}
	if s.services, err = chosen(names); err != nil {
		return nil, err
	}
	s.Home = s.name.Host
	if s.name.IP.IsValid() {
		s.Home = s.name.IP.String()
	}
	literal := s.name.Port != 0 || s.name.IP.IsValid()
	if literal && len(names) == 0 {
		s.services = services[:1]
	}
	for _, svc := range s.services {
		if literal && svc.name != "matrix" {
			return nil, records.NameError(domain, fmt.Sprintf("%q needs a domain, without a port", svc.name))
		}
	}
	for _, c := range components {
		c = records.Canonical(c)
		if why := records.HostFault(c, false); why != "" {
			return nil, records.NameError(c, why)
		}
		if c != s.name.Host && !slices.Contains(s.components, c) {
			s.components = append(s.components, c)
		}
	}
	return s, nil
}

// Name returns the domain.
func (s *Session) Name() records.ServerName { return s.name }

// Suppose returns a Session for the Matrix services of the domain with sup
// published. It uses the DNS replies that s has cached.
func (s *Session) Suppose(sup Supposition) *Session {
	var names []string
	var to records.ServerName
	if sup.SRV != nil {
		to, names = *sup.SRV, []string{"_matrix-fed._tcp." + s.name.Host, "_matrix._tcp." + s.name.Host}
	}
	after := &Session{d: s.d, limit: s.limit, services: services[:1]}
	after.name, after.supposed = s.name, &sup
	after.Resolver = s.SupposeSRV(names, to.Host, to.Port)
	after.Fetcher = s.Fetcher.With(after.Resolver)
	return after
}

// chosen returns the services of these names, in the order of services.
func chosen(names []string) ([]service, error) {
	if len(names) == 0 {
		return services, nil
	}
	wanted := map[string]bool{}
	for _, n := range names {
		if !slices.Contains(Services(), n) {
			return nil, problem.Newf("write one of: "+strings.Join(Services(), ", "), "unknown service %q", n)
		}
		wanted[n] = true
	}
	var list []service
	for _, s := range services {
		if wanted[s.name] || wanted["mail"] && (s.name == "smtp" || s.name == "imap") {
			list = append(list, s)
		}
	}
	return list, nil
}

// Answer runs all finders in parallel and returns their results in order. An error
// means that ctx has ended.
func (s *Session) Answer(ctx context.Context) (Answer, error) {
	limited, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	a := Answer{Domain: s.name.String(), Components: s.components, Time: time.Now().UTC(), Resolvers: s.Servers()}
	var sections []*section
	var wg sync.WaitGroup
	for _, svc := range s.services {
		a.Services = append(a.Services, svc.name)
		for _, find := range svc.finders {
			one := &section{service: svc.name, identity: s.name.Host}
			sections = append(sections, one)
			wg.Go(func() { find(limited, &s.lookup, one) })
		}
	}
	wg.Wait()
	a.limit = func(host string) netaddr.Scope { return s.Limit(ctx, host) }
	for _, one := range sections {
		a.Requirements = append(a.Requirements, one.rows...)
		a.Documents = append(a.Documents, one.documents...)
		a.Problems = append(a.Problems, one.problems...)
	}
	if ctx.Err() != nil { // the results are incomplete
		return Answer{}, context.Cause(ctx)
	}
	return a, nil
}

func orElse(d, other time.Duration) time.Duration {
	if d <= 0 {
		return other
	}
	return d
}

// Zone returns the name servers of the zone that a domain is in, and the one that its SOA
// record names as the primary (RFC 1035, section 3.3.13); empty: not known.
func (d *Discoverer) Zone(ctx context.Context, domain string) (servers []string, primary string) {
	limited, cancel := context.WithTimeout(ctx, orElse(d.Limit, DefaultLimit))
	defer cancel()
	r := records.NewResolver(d.Resolvers, d.Resolve, orElse(d.Query, DefaultQuery), slog.New(slog.DiscardHandler))
	for zone := records.Canonical(domain); strings.Contains(zone, "."); _, zone, _ = strings.Cut(zone, ".") {
		for _, rr := range r.Query(limited, zone, dns.TypeNS).RRs {
			if ns, ok := rr.(*dns.NS); ok {
				servers = append(servers, records.Canonical(ns.Ns))
			}
		}
		if len(servers) == 0 {
			continue
		}
		for _, rr := range r.Query(limited, zone, dns.TypeSOA).RRs {
			if soa, ok := rr.(*dns.SOA); ok {
				primary = records.Canonical(soa.Ns)
			}
		}
		slices.Sort(servers)
		return servers, primary
	}
	return nil, ""
}
