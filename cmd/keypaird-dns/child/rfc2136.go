package child

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"keypaird/acme/dns01/dnsquery"

	"github.com/go-acme/lego/v4/challenge"
	"github.com/go-acme/lego/v4/challenge/dns01"
	"github.com/go-acme/lego/v4/platform/config/env"
	"github.com/miekg/dns"
)

const gssTSIG = "gss-tsig." // left to lego

// defaultTTL is the TTL of a TXT record in seconds, unless RFC2136_TTL is set. The
// record exists for less than a minute, and a resolver that has cached it hides
// the value of the next challenge at that name for as long as this.
const defaultTTL = 10

// A dnsUpdate is a DNS provider by RFC 2136. Unlike lego's it adds to the values
// at a name and takes away its own only.
type dnsUpdate struct {
	server  string   // host:port
	zones   []string // canonical; empty: asked for
	key     tsigKey  // zero: updates are not signed
	ttl     uint32
	timeout time.Duration
}

// dnsUpdateEnv reads a variable under the name lego prefers or its alias, or
// from the file that NAME_FILE names.
func dnsUpdateEnv(name string) string {
	return env.GetOneWithFallback("DNSUPDATE_"+name, "", env.ParseString, "RFC2136_"+name)
}

func newDNSUpdate() (challenge.Provider, error) {
	u := &dnsUpdate{
		server:  dnsUpdateEnv("NAMESERVER"),
		ttl:     uint32(env.GetOneWithFallback("DNSUPDATE_TTL", defaultTTL, parseTTL, "RFC2136_TTL")),
		timeout: env.GetOneWithFallback("DNSUPDATE_DNS_TIMEOUT", 10*time.Second, env.ParseSecond, "RFC2136_DNS_TIMEOUT"),
	}
	if u.server == "" {
		return nil, &configError{"RFC2136_NAMESERVER is missing", "set it in env of the account's [dns] table to the primary server that takes updates, host or host:port"}
	}
	if _, _, err := net.SplitHostPort(u.server); err != nil {
		u.server = net.JoinHostPort(strings.Trim(u.server, "[]"), "53")
	}
	for zone := range strings.SplitSeq(dnsUpdateEnv("ZONES"), ",") {
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
func (u *dnsUpdate) Present(domain, _, keyAuth string) error {
	return u.change(dns01.GetChallengeInfo(domain, keyAuth), (*dns.Msg).Insert)
}

// CleanUp removes the value, and no other.
func (u *dnsUpdate) CleanUp(domain, _, keyAuth string) error {
	return u.change(dns01.GetChallengeInfo(domain, keyAuth), (*dns.Msg).Remove)
}

func (u *dnsUpdate) change(info dns01.ChallengeInfo, do func(*dns.Msg, []dns.RR)) error {
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
		return &refusedError{u.server, u.key.name, info.EffectiveFQDN, zone, dns.RcodeToString[in.Rcode]}
	}
	return nil
}

// send asks over UDP and, unless an answer came, over TCP: adding and removing
// one value twice does what once does.
func (u *dnsUpdate) send(message func() *dns.Msg) (*dns.Msg, error) {
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
		if err == nil && !in.Truncated {
			return in, u.key.signed(in, u.server)
		}
		last = err
	}
	return nil, &silentError{u.server, last}
}

// zone is the one to update: the longest of those given, or the one the server
// names as it is asked for the SOA of each ancestor.
func (u *dnsUpdate) zone(fqdn string) (string, error) {
	for i, more := 0, false; !more; i, more = dns.NextLabel(fqdn, i) {
		for _, zone := range u.zones {
			if dns.CanonicalName(fqdn[i:]) == zone {
				return zone, nil
			}
		}
	}
	if len(u.zones) > 0 {
		return "", &configError{
			fmt.Sprintf("%s is in none of the zones %s", fqdn, strings.Join(u.zones, ", ")),
			"add its zone to RFC2136_ZONES, or leave RFC2136_ZONES out",
		}
	}
	return u.findZone(fqdn)
}

func (u *dnsUpdate) findZone(fqdn string) (string, error) {
	for i, more := 0, false; !more; i, more = dns.NextLabel(fqdn, i) {
		// No recursion: only zones that the server is primary of can be updated.
		in, err := dnsquery.Query{Server: u.server, Name: fqdn[i:], Type: dns.TypeSOA, Timeout: u.timeout}.Do(context.Background())
		if err != nil {
			return "", &silentError{u.server, err}
		}
		for _, rr := range append(in.Answer, in.Ns...) {
			if soa, ok := rr.(*dns.SOA); ok && dns.IsSubDomain(soa.Hdr.Name, fqdn) {
				return soa.Hdr.Name, nil
			}
		}
	}
	return "", &configError{
		fmt.Sprintf("%s knows no zone that %s is in", u.server, fqdn),
		"set RFC2136_NAMESERVER to the primary server of that zone, or name the zone in RFC2136_ZONES",
	}
}

// A silentError reports a server that does not answer.
type silentError struct {
	server string
	err    error
}

func (e *silentError) Error() string { return fmt.Sprintf("no answer from %s: %v", e.server, e.err) }
func (e *silentError) Remedy() string {
	return "check RFC2136_NAMESERVER, and that UDP and TCP to it are let through"
}

// A refusedError reports an update that the server does not carry out.
type refusedError struct{ server, key, fqdn, zone, code string }

func (e *refusedError) Error() string {
	return fmt.Sprintf("%s answers %s to an update of TXT %s in zone %s", e.server, e.code, e.fqdn, e.zone)
}

// Remedy tells a policy from a wrong server.
func (e *refusedError) Remedy() string {
	switch {
	case e.code == "NOTAUTH" || e.code == "NOTZONE":
		return "see that RFC2136_NAMESERVER is the primary server of the zone, and that name, algorithm and secret of the TSIG key are the server's"
	case e.key == "":
		return "the update is not signed: set RFC2136_TSIG_FILE to a key that may change this name"
	}
	return fmt.Sprintf("allow it on the server, in BIND: update-policy { grant %s name %s TXT; };", e.key, e.fqdn)
}

var algorithms = map[string]bool{
	dns.HmacSHA1: true, dns.HmacSHA224: true, dns.HmacSHA256: true, dns.HmacSHA384: true, dns.HmacSHA512: true,
}

func validSecret(secret string) bool {
	b, err := base64.StdEncoding.DecodeString(secret)
	return err == nil && len(b) > 0
}
