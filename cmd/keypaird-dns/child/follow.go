package child

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/go-acme/lego/v4/challenge/dns01"
	"github.com/miekg/dns"

	"keypaird/acme/dns01/dnsquery"
	"keypaird/renew/problem"
)

// noCNAME keeps lego from following CNAMEs.
const noCNAME = "LEGO_DISABLE_CNAME_SUPPORT"

// setResolvers sets the resolvers that lego asks about CNAMEs and zones: those given,
// or else resolv.conf's, but never the public service that is lego's default.
func (s *server) setResolvers(given []string) error {
	for _, r := range given {
		if _, _, err := net.SplitHostPort(r); err != nil {
			return fmt.Errorf("resolver %q is not host:port", r)
		}
	}
	if s.resolvers = given; len(given) == 0 {
		s.resolvers = dnsquery.SystemResolvers("/etc/resolv.conf")
	}
	s.stay, _ = strconv.ParseBool(os.Getenv(noCNAME))
	return dns01.AddRecursiveNameservers(s.resolvers)(nil)
}

// challengeName returns where the CA looks for the record.
func challengeName(domain string) string { return "_acme-challenge." + dns.Fqdn(domain) }

// follow returns the name at which to publish a record for domain.
func (s *server) follow(ctx context.Context, domain string) (fqdn string, err error) {
	if s.stay {
		return challengeName(domain), nil
	}
	chain, err := dnsquery.Delegation(ctx, s.resolvers, challengeName(domain))
	if err != nil {
		return "", err
	}
	return chain[len(chain)-1], nil
}

// lead makes lego publish and remove records for domain at fqdn, whatever it would
// find by following CNAMEs: it takes that of a wildcard for a delegation, and a
// failed lookup for a name without CNAME.
func (s *server) lead(ctx context.Context, domain, fqdn string) error {
	s.pin.set("", "")
	follows := dns.CanonicalName(fqdn) != dns.CanonicalName(challengeName(domain))
	if err := os.Setenv(noCNAME, strconv.FormatBool(!follows)); err != nil {
		return err
	}
	if !follows || leads(domain, fqdn) {
		return nil
	}
	if s.pin.addr == "" {
		if err := s.pin.start(ctx, s.resolvers); err != nil {
			return err
		}
		if err := dns01.AddRecursiveNameservers([]string{s.pin.addr})(nil); err != nil {
			return err
		}
	}
	s.pin.set(challengeName(domain), fqdn)
	if !leads(domain, fqdn) {
		return problem.Newf("let the CNAME lead to a name that no wildcard CNAME covers", "lego does not find %s from %s", fqdn, challengeName(domain))
	}
	return nil
}

func leads(domain, fqdn string) bool {
	return strings.EqualFold(dns01.GetChallengeInfo(domain, "").EffectiveFQDN, fqdn)
}
