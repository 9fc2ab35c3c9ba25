package rfc2136

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/go-acme/lego/v4/challenge"
	"github.com/go-acme/lego/v4/challenge/dns01"
	"github.com/go-acme/lego/v4/platform/config/env"
	"github.com/miekg/dns"

	"keypaird/acme/dns01/dnsquery"
	"keypaird/renew/problem"
)

// UsesKerberos reports whether the environment asks for GSS-TSIG (RFC 3645), which
// this package leaves to lego.
func UsesKerberos() bool { return dns.CanonicalName(variable("TSIG_ALGORITHM")) == "gss-tsig." }

// defaultTTL is the TTL of a TXT record in seconds, unless RFC2136_TTL is set. The
// record exists for less than a minute, and a resolver that has cached it hides
// the value of the next challenge at that name for as long as this.
const defaultTTL = 10

// A provider is a challenge.Provider.
type provider struct {
	server  string   // host:port
	zones   []string // canonical; empty: the server names them
	key     tsigKey  // zero: updates are not signed
	ttl     uint32
	timeout time.Duration
}

// variable reads a variable under the name lego prefers or its alias, or
// from the file that NAME_FILE names.
func variable(name string) string {
	return env.GetOneWithFallback("DNSUPDATE_"+name, "", env.ParseString, "RFC2136_"+name)
}

// New returns the provider that the environment describes.
func New() (challenge.Provider, error) {
	u := &provider{
		server:  variable("NAMESERVER"),
		ttl:     uint32(env.GetOneWithFallback("DNSUPDATE_TTL", defaultTTL, parseTTL, "RFC2136_TTL")),
		timeout: env.GetOneWithFallback("DNSUPDATE_DNS_TIMEOUT", 10*time.Second, env.ParseSecond, "RFC2136_DNS_TIMEOUT"),
	}
	if u.server == "" {
		return nil, problem.New("RFC2136_NAMESERVER is missing", "set it in env of the account's [dns] table to the primary server that takes updates, host or host:port")
	}
	if _, _, err := net.SplitHostPort(u.server); err != nil {
		u.server = net.JoinHostPort(strings.Trim(u.server, "[]"), "53")
	}
	for zone := range strings.SplitSeq(variable("ZONES"), ",") {
		if zone = strings.TrimSpace(zone); zone != "" {
			u.zones = append(u.zones, dns.CanonicalName(zone))
		}
	}
	var err error
	u.key, err = newTSIGKey()
	return u, err
}

func parseTTL(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n), err
}

// Present adds the value.
func (u *provider) Present(domain, _, keyAuth string) error {
	return u.change(dns01.GetChallengeInfo(domain, keyAuth), (*dns.Msg).Insert)
}

// CleanUp removes the value, and no other.
func (u *provider) CleanUp(domain, _, keyAuth string) error {
	return u.change(dns01.GetChallengeInfo(domain, keyAuth), (*dns.Msg).Remove)
}

func (u *provider) change(info dns01.ChallengeInfo, do func(*dns.Msg, []dns.RR)) error {
	zone, err := u.zone(info.EffectiveFQDN)
	if err != nil {
		return err
	}
	update := func() *dns.Msg {
		m := new(dns.Msg).SetUpdate(zone)
		do(m, []dns.RR{&dns.TXT{
			Hdr: dns.RR_Header{Name: info.EffectiveFQDN, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: u.ttl},
			Txt: []string{info.Value},
		}})
		return m
	}
	in, err := u.send(update)
	if err != nil {
		return err
	}
	if in.Rcode != dns.RcodeSuccess {
		return u.refused(info.EffectiveFQDN, zone, dns.RcodeToString[in.Rcode])
	}
	return nil
}

// send sends the update over UDP and, without an answer, over TCP: adding or removing
// a value twice is the same as once.
func (u *provider) send(message func() *dns.Msg) (*dns.Msg, error) {
	var last error
	for _, c := range []dns.Client{
		{Net: "udp", Timeout: min(u.timeout, 3*time.Second)},
		{Net: "tcp", Timeout: u.timeout},
	} {
		m := message()
		u.key.sign(m, &c)
		in, _, err := c.Exchange(m, u.server)
		if keyErr := u.key.check(in, u.server); keyErr != nil {
			return nil, keyErr
		}
		if in != nil && in.Rcode != dns.RcodeSuccess {
			return in, nil // a refusal need not be signed
		}
		if err == nil && !in.Truncated {
			return in, u.key.signed(in, u.server)
		}
		last = err
	}
	return nil, u.noAnswer(last)
}

// zone returns the zone to update: the longest of those given, or the first that the
// server has a SOA record for, going up from fqdn.
func (u *provider) zone(fqdn string) (string, error) {
	for i, more := 0, false; !more; i, more = dns.NextLabel(fqdn, i) {
		for _, zone := range u.zones {
			if dns.CanonicalName(fqdn[i:]) == zone {
				return zone, nil
			}
		}
	}
	if len(u.zones) > 0 {
		return "", problem.Newf("add its zone to RFC2136_ZONES, or leave RFC2136_ZONES out",
			"%s is in none of the zones %s", fqdn, strings.Join(u.zones, ", "))
	}
	return u.findZone(fqdn)
}

func (u *provider) findZone(fqdn string) (string, error) {
	for i, more := 0, false; !more; i, more = dns.NextLabel(fqdn, i) {
		// No recursion: only zones that the server is primary of can be updated.
		in, err := dnsquery.Query{Server: u.server, Name: fqdn[i:], Type: dns.TypeSOA, Timeout: u.timeout}.Do(context.Background())
		if err != nil {
			return "", u.noAnswer(err)
		}
		if dnsquery.Target(in, fqdn[i:]) != "" { // of a wildcard; the answer is about its target
			continue
		}
		for _, rr := range append(in.Answer, in.Ns...) {
			if soa, ok := rr.(*dns.SOA); ok && dns.IsSubDomain(soa.Hdr.Name, fqdn) {
				return soa.Hdr.Name, nil
			}
		}
	}
	return "", problem.Newf("set RFC2136_NAMESERVER to the primary server of that zone, or name the zone in RFC2136_ZONES",
		"%s knows no zone that %s is in", u.server, fqdn)
}

// noAnswer returns the error for a server that does not answer.
func (u *provider) noAnswer(err error) error {
	return problem.Newf("check RFC2136_NAMESERVER, and that UDP and TCP to it are let through", "no answer from %s: %w", u.server, err)
}

// refused returns the error for an update that the server does not carry out. Its
// remedy depends on whether the server or its policy is wrong.
func (u *provider) refused(fqdn, zone, code string) error {
	remedy := fmt.Sprintf("allow it on the server, in BIND: update-policy { grant %s name %s TXT; }; PowerDNS answers so to a key that differs, too", u.key.name, fqdn)
	switch {
	case code == "NOTAUTH" || code == "NOTZONE":
		remedy = "see that RFC2136_NAMESERVER is the primary server of the zone, and that name, algorithm and secret of the TSIG key are the server's"
	case code == "NOTIMP":
		remedy = "set RFC2136_NAMESERVER to the zone's primary server; if this is it and it takes no updates at all, as NSD, publish a record once instead: dns-persist-01, or a CNAME of the name to a zone that takes them"
	case u.key.name == "":
		remedy = "the update is not signed: set RFC2136_TSIG_FILE to a key that may change this name"
	}
	return problem.Newf(remedy, "%s answers %s to an update of TXT %s in zone %s", u.server, code, fqdn, zone)
}

var algorithms = map[string]bool{
	dns.HmacSHA1: true, dns.HmacSHA224: true, dns.HmacSHA256: true, dns.HmacSHA384: true, dns.HmacSHA512: true,
}

func validSecret(secret string) bool {
	b, err := base64.StdEncoding.DecodeString(secret)
	return err == nil && len(b) > 0
}
