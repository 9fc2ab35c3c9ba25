package dnsquery

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"
)

var (
	errOther      = errors.New("answered a different question")
	errReferral   = errors.New("referred to other servers: it is not a resolver for that name")
	errNotAuth    = errors.New("did not answer as an authoritative server of the name")
	errNoResolver = errors.New("there is no resolver to ask")
)

// matchQuestion returns an error if an answer is to another question. An answer
// that is an error may leave out the question.
func matchQuestion(in *dns.Msg, name string, qtype uint16) error {
	if !conclusive(in) && len(in.Question) == 0 {
		return nil
	}
	if len(in.Question) != 1 || !strings.EqualFold(in.Question[0].Name, name) || in.Question[0].Qtype != qtype {
		return errOther
	}
	return nil
}

// conclusive reports whether an answer has the records of the name, or says that
// there are none.
func conclusive(in *dns.Msg) bool {
	return in.Rcode == dns.RcodeSuccess || in.Rcode == dns.RcodeNameError
}

// Check returns an error if an answer does not tell which records exist: because
// it is an error, or comes from a server that does not know. recurse: the server
// was asked as a resolver, not as an authoritative server.
func Check(in *dns.Msg, recurse bool) error {
	switch {
	case !conclusive(in):
		return errors.New("answered " + rcode(in))
	case !recurse && !in.Authoritative:
		return errNotAuth
	case recurse && isReferral(in):
		return errReferral
	}
	return nil
}

// rcode returns the error of an answer and the reason that comes with it (RFC 8914),
// such as "SERVFAIL (DNSSEC Bogus)".
func rcode(in *dns.Msg) string {
	text := cmp.Or(dns.RcodeToString[in.Rcode], fmt.Sprintf("RCODE %d", in.Rcode))
	if opt := in.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if ede, ok := o.(*dns.EDNS0_EDE); ok && dns.ExtendedErrorCodeToString[ede.InfoCode] != "" {
				return text + " (" + dns.ExtendedErrorCodeToString[ede.InfoCode] + ")"
			}
		}
	}
	return text
}

// isReferral reports whether an answer without records is a referral, or empty,
// rather than a statement that there are none (RFC 2308, section 2.2).
func isReferral(in *dns.Msg) bool {
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

// NegativeTTL returns how long a resolver caches the answer that there are no
// records (RFC 2308, section 5), and whether the answer says so.
func NegativeTTL(in *dns.Msg) (ttl time.Duration, ok bool) {
	for _, rr := range in.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return time.Duration(min(soa.Hdr.Ttl, soa.Minttl)) * time.Second, true
		}
	}
	return 0, false
}
