package discover

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"keypaird/hooks/discover/records"
	"keypaird/hooks/discover/web"
)

const smtpPort = 25

// An mxSet holds the mail hosts of a domain (RFC 5321, section 5.1).
type mxSet struct {
	records.Reply
	state    records.State
	hosts    []records.Target
	implicit bool // no MX: the domain itself
}

// findSMTP finds the hosts that receive mail for the domain. Senders check their names
// only if the domain has MTA-STS (RFC 8461) or DANE (RFC 7672).
func findSMTP(ctx context.Context, l *lookup, s *section) {
	policy := findPolicy(ctx, l, s, l.name.Host)
	mx := findMX(ctx, l, s, l.name.Host)
	row := Requirement{Role: "mx", CheckedBy: "sending mail servers", Evidence: []records.Evidence{mx.Evidence("RFC 5321, 5.1")}}
	if mx.state != records.Found {
		if mx.state == records.Undetermined {
			row.Reason = mx.Why
		}
		s.none(row, mx.state, "MX "+l.name.Host+": "+mx.Why)
		return
	}
	if mx.implicit {
		row.Default = true
		row.Evidence = append(row.Evidence, records.Evidence{Kind: records.KindDefault, What: "default of " + l.name.Host, Says: "the domain is its own mail server", Spec: "RFC 5321, 5.1"})
	}
	if policy.led.What != "" {
		row.Evidence = append(row.Evidence, policy.led)
	}
	for _, t := range mx.hosts {
		one := row
		one.SNI, one.Accept = t.Host, []string{t.Host}
		one.Enforcement, one.When = policy.strictness()
		policy.check(s, t.Host)
		at := addLocated(ctx, l, s, one, "smtp", t.Host, smtpPort)
		if !mx.implicit {
			reportTarget(s, "MX "+l.name.Host, t.Host, at, "RFC 5321, 5.1")
		}
		addDANE(ctx, l, s, row, t.Host, at, mx)
	}
}

// findMX finds all mail hosts.
func findMX(ctx context.Context, l *lookup, s *section, domain string) mxSet {
	set := mxSet{Reply: l.Query(ctx, domain, dns.TypeMX)}
	set.state = set.Reply.State
	switch {
	case set.state == records.Undetermined:
		s.unanswered("MX " + domain + ": " + set.Why)
	case set.state == records.Absent && !set.NoName:
		at := l.Addresses(ctx, domain)
		set.implicit = true
		set.state, set.Why = at.State, sentence(set.Why, at.Why)
		set.hosts = []records.Target{{Host: domain}}
	}
	for _, f := range set.TooMany() {
		s.fail("publish fewer records", "%s", f)
	}
	null := false
	for _, rr := range set.RRs {
		rr := rr.(*dns.MX)
		host := records.Canonical(rr.Mx)
		switch why := records.HostFault(host, true); {
		case host == "":
			null = true
		case why != "":
			s.fail("correct the record", "MX %s has a target that is not a host name: %s", domain, why)
		default:
			set.hosts = append(set.hosts, records.Target{Host: host, Priority: rr.Preference})
		}
	}
	slices.SortFunc(set.hosts, func(a, b records.Target) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Host, b.Host))
	})
	switch {
	case null && len(set.hosts) == 0:
		set.state, set.Why = records.Disabled, `the mail host is ".": the domain accepts no mail (RFC 7505)`
	case null:
		s.fail("remove one of the two", `MX %s has "." and mail hosts: RFC 7505 allows "." only as the only one`, domain)
	case set.state == records.Found && len(set.hosts) == 0:
		set.state, set.Why = records.Undetermined, "no usable target"
	}
	return set
}

// An stsState says whether a domain has a policy.
type stsState struct {
	*stsPolicy // nil: not known
	led        records.Evidence
	when       string // the policy is not known, but senders apply one in this case
}

const (
	stsUnknown = "the domain has an MTA-STS policy in force (undetermined)"
	stsCached  = "a sender has cached an MTA-STS policy" // RFC 8461, section 5.1
)

// findPolicy fetches the policy of a domain and adds the row of its host.
func findPolicy(ctx context.Context, l *lookup, s *section, domain string) stsState {
	host := "mta-sts." + domain
	row := Requirement{
		Role: "mta-sts policy", CheckedBy: "sending mail servers", Enforcement: Info,
		SNI: host, Accept: []string{host}, HostHeader: host,
	}
	txt := l.Query(ctx, "_mta-sts."+domain, dns.TypeTXT)
	row.Evidence = []records.Evidence{txt.Evidence("RFC 8461, 3.1")}
	if txt.State == records.Undetermined {
		row.Reason = txt.Why
		s.unanswered("TXT _mta-sts." + domain + ": " + txt.Why)
		s.none(row, records.Undetermined, "TXT _mta-sts."+domain+": "+txt.Why)
		return stsState{when: stsUnknown}
	}
	if why, broken := stsRecord(txt); why != "" {
		if broken {
			s.fail(`publish one record of the form "v=STSv1; id=20260101;"`, "TXT _mta-sts.%s: %s: senders ignore it", domain, why)
		}
		s.none(row, records.Absent, "TXT _mta-sts."+domain+": "+why)
		return stsState{}
	}
	doc := s.keep(l.Document(ctx, host, "/.well-known/mta-sts.txt", false, maxPolicy, web.IfOK(readPolicy)))
	for i := range doc.Fetches {
		if p, ok := doc.Fetches[i].Value.(*stsPolicy); ok {
			doc.Fetches[i].Lasts = p.maxAge
		}
	}
	addDocument(s, doc, row, "RFC 8461, 3.2 and 3.3")
	reportDocument(s, doc)
	if doc.State == records.Absent {
		s.fail("serve the policy, with status 200 and a trusted certificate",
			"MTA-STS: the policy of %s cannot be fetched: senders that have not cached it apply none: %s", domain, doc.Why)
	}
	good := doc.Good()
	switch {
	case doc.State == records.Undetermined:
		return stsState{led: doc.Evidence("RFC 8461, 3.2"), when: stsUnknown}
	case len(good) == 0:
		return stsState{led: doc.Evidence("RFC 8461, 3.2"), when: stsCached}
	}
	if t := good[0].Header.Get("Content-Type"); !strings.HasPrefix(t, "text/plain") {
		s.warn("send Content-Type: text/plain", "%s has Content-Type %.100q, not text/plain", doc.URL, t)
	}
	return stsState{stsPolicy: good[0].Value.(*stsPolicy), led: doc.Evidence("RFC 8461, 3.2")}
}

// stsRecord returns why there is no usable record; broken: the records are wrong.
func stsRecord(txt records.Reply) (why string, broken bool) {
	var found []string
	for _, rr := range txt.RRs {
		if t, ok := rr.(*dns.TXT); ok {
			if text := records.Unescape(strings.Join(t.Txt, "")); isSTS(text) {
				found = append(found, text)
			}
		}
	}
	switch {
	case txt.State == records.Absent:
		return txt.Why, false
	case len(found) == 0:
		return "no MTA-STS record", false
	case len(found) > 1:
		return fmt.Sprintf("%d MTA-STS records", len(found)), true
	}
	if _, err := parseSTSRecord(found[0]); err != nil {
		return err.Error(), true
	}
	return "", false
}
