package dns01

import (
	"errors"
	"strings"
	"time"

	"github.com/miekg/dns"
)

var (
	errOther    = errors.New("it answers another question than the one asked")
	errReferral = errors.New("it does not know and refers to other servers: it is not a resolver for that name")
	errNotAuth  = errors.New("it does not answer as an authoritative server of the name")
)

// fits says why an answer is not one to the question of a name. Who does not
// understand or want a question may leave it out.
func fits(in *dns.Msg, name string, qtype uint16) error {
	if !knows(in) && len(in.Question) == 0 {
		return nil
	}
	if len(in.Question) != 1 || !strings.EqualFold(in.Question[0].Name, name) || in.Question[0].Qtype != qtype {
		return errOther
	}
	return nil
}

// knows reports whether an answer says what there is, or that there is nothing.
func knows(in *dns.Msg) bool {
	return in.Rcode == dns.RcodeSuccess || in.Rcode == dns.RcodeNameError
}

// tells says why an answer tells nothing of what there is: an error, or one of a
// server that does not know. recurse: it was asked as a resolver.
func tells(in *dns.Msg, recurse bool) error {
	switch {
	case !knows(in):
		return errors.New("it answers " + dns.RcodeToString[in.Rcode])
	case !recurse && !in.Authoritative:
		return errNotAuth
	case recurse && referral(in):
		return errReferral
	}
	return nil
}

// referral tells "ask those", or nothing at all, from "there is none" (RFC 2308,
// section 2.2).
func referral(in *dns.Msg) bool {
	if in.Rcode != dns.RcodeSuccess || in.Authoritative || len(in.Answer) > 0 {
		return false
	}
	servers := false
	for _, rr := range in.Ns {
		switch rr.(type) {
		case *dns.SOA:
			return !in.RecursionAvailable
		case *dns.NS:
			servers = true
		}
	}
	return servers || !in.RecursionAvailable
}

// negativeTTL is how long a resolver keeps a "no" (RFC 2308, section 5).
func negativeTTL(in *dns.Msg) time.Duration {
	for _, rr := range in.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return time.Duration(min(soa.Hdr.Ttl, soa.Minttl)) * time.Second
		}
	}
	return 0
}

// joined is the value of a TXT record: its strings make one.
func joined(parts []string) string { return strings.Join(parts, "") }
