package child

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

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
	s.resolvers = resolvers(given)
	return dns01.AddRecursiveNameservers(s.resolvers)(nil)
}

func resolvers(given []string) []string {
	if len(given) > 0 {
		return given
	}
	conf, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	if err != nil || len(conf.Servers) == 0 {
		return []string{"127.0.0.1:53", "[::1]:53"} // resolv.conf(5)
	}
	for i, s := range conf.Servers {
		conf.Servers[i] = net.JoinHostPort(s, conf.Port)
	}
	return conf.Servers
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
func (s *server) follow(domain, keyAuth string) (dns01.ChallengeInfo, error) {
	info := dns01.GetChallengeInfo(domain, keyAuth)
	if off, _ := strconv.ParseBool(os.Getenv("LEGO_DISABLE_CNAME_SUPPORT")); off {
		return info, nil
	}
	target, err := s.cname(info.EffectiveFQDN)
	if err != nil {
		return info, &lookupError{info.EffectiveFQDN, err}
	}
	if target != "" {
		info = dns01.GetChallengeInfo(domain, keyAuth)
	}
	return info, nil
}

// cname asks one resolver after the other for the CNAME of a name.
func (s *server) cname(fqdn string) (target string, err error) {
	m := new(dns.Msg)
	m.SetQuestion(fqdn, dns.TypeCNAME)
	for _, resolver := range s.resolvers {
		var in *dns.Msg
		in, err = exchange(m, resolver, 5*time.Second)
		if err == nil && in.Rcode != dns.RcodeSuccess && in.Rcode != dns.RcodeNameError {
			err = fmt.Errorf("%s answers %s", resolver, dns.RcodeToString[in.Rcode])
		}
		if err != nil {
			continue
		}
		for _, rr := range in.Answer {
			if c, ok := rr.(*dns.CNAME); ok && strings.EqualFold(c.Hdr.Name, fqdn) {
				return c.Target, nil
			}
		}
		return "", nil
	}
	return "", err
}

// exchange asks over UDP and, if that brings nothing whole, over TCP.
func exchange(m *dns.Msg, server string, timeout time.Duration) (*dns.Msg, error) {
	udp := &dns.Client{Net: "udp", Timeout: min(timeout, 3*time.Second)}
	in, _, err := udp.Exchange(m, server)
	if err == nil && !in.Truncated {
		return in, nil
	}
	tcp := &dns.Client{Net: "tcp", Timeout: timeout}
	in, _, err = tcp.Exchange(m, server)
	return in, err
}
