package child

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"keypaird/acme/dns01/dnsquery"

	"github.com/go-acme/lego/v4/challenge/dns01"
	"github.com/miekg/dns"
)

// setResolvers tells lego whom to ask about CNAMEs and zones: those given, else
// resolv.conf's, never lego's own default of a public service.
func (s *server) setResolvers(given []string) error {
	for _, r := range given {
		if _, _, err := net.SplitHostPort(r); err != nil {
			return fmt.Errorf("resolver %q is not host:port", r)
		}
	}
	if s.resolvers = given; len(given) == 0 {
		s.resolvers = dnsquery.SystemResolvers("/etc/resolv.conf")
	}
	return dns01.AddRecursiveNameservers(s.resolvers)(nil)
}

// A lookupError reports that nobody could say where a challenge name leads.
type lookupError struct {
	fqdn string
	err  error
}

func (e *lookupError) Error() string {
	return fmt.Sprintf("cannot find out whether %s is a CNAME: %v", e.fqdn, e.err)
}

func (e *lookupError) Remedy() string {
	return "make the resolvers answer for that name, or set others: resolvers = [\"host:port\"] in the account's [dns] table"
}

// follow is lego's search for the name at the end of the CNAMEs, with an error
// where lego takes a lookup that fails for a name without CNAME.
func (s *server) follow(ctx context.Context, domain, keyAuth string) (dns01.ChallengeInfo, error) {
	info := dns01.GetChallengeInfo(domain, keyAuth)
	if off, _ := strconv.ParseBool(os.Getenv("LEGO_DISABLE_CNAME_SUPPORT")); off {
		return info, nil
	}
	target, err := s.cname(ctx, info.EffectiveFQDN)
	if err != nil {
		return info, &lookupError{info.EffectiveFQDN, err}
	}
	if target != "" {
		info = dns01.GetChallengeInfo(domain, keyAuth)
	}
	return info, nil
}

// cname returns the target of the CNAME of a name, or "".
func (s *server) cname(ctx context.Context, fqdn string) (target string, err error) {
	in, _, err := dnsquery.Query{Name: fqdn, Type: dns.TypeCNAME, Timeout: 5 * time.Second}.Resolve(ctx, s.resolvers)
	if err != nil {
		return "", err
	}
	for _, rr := range in.Answer {
		if c, ok := rr.(*dns.CNAME); ok && strings.EqualFold(c.Hdr.Name, fqdn) {
			return c.Target, nil
		}
	}
	return "", nil
}
