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

	"keypaird/hooks/discover/records"
	"keypaird/hooks/discover/web"
	"keypaird/renew/problem"
)

// Bounds that a Discoverer has when none are given.
const (
	DefaultQuery = 3 * time.Second
	DefaultFetch = 10 * time.Second
	DefaultLimit = time.Minute
)

// A Discoverer asks one set of resolvers. The zero value asks the system's.
type Discoverer struct {
	// Resolvers are asked one after the other until one knows: an address,
	// with a port if it is not 53. Their word on DNSSEC is believed. Empty:
	// those of /etc/resolv.conf.
	Resolvers []string
	// Resolve says where names are, whatever DNS says of their addresses, so
	// that a move can be rehearsed. The names are in lower case.
	Resolve map[string][]netip.Addr
	// Roots are trusted in place of the system's; nil: the system's.
	Roots *x509.CertPool
	// Ask has the Matrix servers found asked who they are.
	Ask bool

	Query time.Duration // for one try at one resolver; zero means DefaultQuery
	Fetch time.Duration // for one document with its redirects; zero means DefaultFetch
	Limit time.Duration // for one Discover; zero means DefaultLimit
	Log   *slog.Logger  // nil: nothing is logged
}

// A finder finds the rows of one service.
type finder func(ctx context.Context, l *lookup, s *section)

// service is one that can be asked for by name.
type service struct {
	name    string
	finders []finder
}

// services in the order of an Answer. "mail" is "smtp" and "imap" together.
var services = []service{
	{"matrix", []finder{findFederation, findMatrixClient}},
	{"xmpp", []finder{findXMPP, findHostMeta}},
	{"smtp", []finder{findSMTP}},
	{"imap", []finder{findMailAccess, findAutoconfig}},
	{"caldav", []finder{findDAV}},
	{"sip", []finder{findSIP}},
	{"web", []finder{findWeb}},
}

// Services returns what may be asked for.
func Services() []string {
	list := []string{"mail"}
	for _, s := range services {
		list = append(list, s.name)
	}
	slices.Sort(list)
	return list
}

// Discover finds what the services of a domain need; no services: all of them.
// Components are further XMPP domains, such as conference.example.org. For
// "matrix" alone the domain may be any server name, with a port or an IP
// address. An error means that the question was wrong or ctx has ended: what
// cannot be found out is in the Answer.
func (d *Discoverer) Discover(ctx context.Context, domain string, names, components []string) (Answer, error) {
	s, err := d.Begin(domain, names, components)
	if err != nil {
		return Answer{}, err
	}
	return s.Answer(ctx)
}

// A Session is the discovery of one domain. It asks no question twice.
type Session struct {
	lookup
	d        *Discoverer
	services []service
	limit    time.Duration
}

// Begin checks what is asked for, and asks nothing yet.
func (d *Discoverer) Begin(domain string, names, components []string) (*Session, error) {
	log := d.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Session{d: d, limit: orElse(d.Limit, DefaultLimit)}
	s.asks = d.Ask
	s.Resolver = records.NewResolver(d.Resolvers, d.Resolve, orElse(d.Query, DefaultQuery), log)
	s.Fetcher = web.NewFetcher(s.Resolver, d.Roots, orElse(d.Fetch, DefaultFetch), log)
	var err error
	if s.name, err = records.ParseServerName(strings.TrimSuffix(domain, ".")); err != nil {
		return nil, err
	}
	if s.services, err = chosen(names); err != nil {
		return nil, err
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

// Suppose returns a Session for the Matrix services of the domain as they would
// be. It goes by the replies of DNS that s has got.
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

// chosen returns the services by their names, in our order.
func chosen(names []string) ([]service, error) {
	if len(names) == 0 {
		return services, nil
	}
	wanted := map[string]bool{}
	for _, n := range names {
		if !slices.Contains(Services(), n) {
			return nil, problem.Newf("one of "+strings.Join(Services(), ", "), "unknown service %q", n)
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

// Answer runs all finders at once and puts what they find in order. An error
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
	for _, one := range sections {
		a.Requirements = append(a.Requirements, one.rows...)
		a.Documents = append(a.Documents, one.documents...)
		a.Problems = append(a.Problems, one.problems...)
	}
	if ctx.Err() != nil { // an interrupt is not an answer
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
