package discover

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

const smtpPort = 25

// An mxSet is where the mail of a domain goes (RFC 5321, section 5.1).
type mxSet struct {
	reply
	state    State
	hosts    []target
	implicit bool // no MX: the domain itself
}

// smtp finds where mail for the domain is sent. Nobody checks the names there
// unless the domain asks for it, by MTA-STS (RFC 8461) or DANE (RFC 7672).
func findSMTP(ctx context.Context, l *lookup, s *section) {
	policy := findPolicy(ctx, l, s, l.name.Host)
	mx := findMX(ctx, l, s, l.name.Host)
	row := Requirement{Role: "mx", CheckedBy: "sending mail servers", Evidence: []Evidence{mx.evidence("RFC 5321, 5.1")}}
	if mx.state != Found {
		s.none(row, mx.state, "MX "+l.name.Host+": "+mx.why)
		return
	}
	if mx.implicit {
		row.Default = true
		row.Evidence = append(row.Evidence, Evidence{What: "default of " + l.name.Host, Says: "the domain is its own mail server", Spec: "RFC 5321, 5.1"})
	}
	if policy.led.What != "" {
		row.Evidence = append(row.Evidence, policy.led)
	}
	for _, t := range mx.hosts {
		one := row
		one.SNI, one.Accept = t.host, []string{t.host}
		one.Enforcement, one.When = policy.strictness()
		policy.judge(s, t.host)
		at := addLocated(ctx, l, s, one, "smtp", t.host, smtpPort)
		if !mx.implicit {
			reportTarget(s, "MX "+l.name.Host, t.host, at, "RFC 5321, 5.1")
		}
		addDANE(ctx, l, s, row, t.host, at, mx)
	}
}

// mx finds the mail hosts, all of them.
func findMX(ctx context.Context, l *lookup, s *section, domain string) mxSet {
	set := mxSet{reply: l.resolve(ctx, domain, dns.TypeMX)}
	set.state = set.reply.state
	switch {
	case set.state == Undetermined:
		s.warn("ask again, or ask another resolver", "MX %s: %s", domain, set.why)
	case set.state == Absent && !strings.HasPrefix(set.why, "NXDOMAIN"):
		at := l.addresses(ctx, domain)
		set.implicit = true
		set.state, set.why = at.state, sentence(set.why, at.why)
		set.hosts = []target{{host: domain}}
	}
	for _, f := range set.tooMany() {
		s.fail("publish fewer records", "%s", f)
	}
	null := false
	for _, rr := range set.rrs {
		rr := rr.(*dns.MX)
		host := canonical(rr.Mx)
		switch why := notHost(host, true); {
		case host == "":
			null = true
		case why != "":
			s.fail("correct the record", "MX %s names no host: %s", domain, why)
		default:
			set.hosts = append(set.hosts, target{host: host, priority: rr.Preference})
		}
	}
	slices.SortFunc(set.hosts, func(a, b target) int {
		return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(a.host, b.host))
	})
	switch {
	case null && len(set.hosts) == 0:
		set.state, set.why = Disabled, `the mail host is ".": the domain takes no mail (RFC 7505)`
	case null:
		s.fail("remove one of the two", `MX %s names "." beside mail hosts: RFC 7505 allows it only alone`, domain)
	case set.state == Found && len(set.hosts) == 0:
		set.state, set.why = Undetermined, "no record names a host"
	}
	return set
}

// An stsState is what is known of the policy of a domain.
type stsState struct {
	*stsPolicy // nil: none can be had
	led        Evidence
	when       string // no policy can be had, but senders go by one under these circumstances
}

const (
	stsUnknown = "the domain has an MTA-STS policy that is in force, which is not known here"
	stsCached  = "a sender knows the MTA-STS policy from before" // RFC 8461, section 5.1
)

// mtaSTS finds the policy of a domain and the row of the host that serves it.
func findPolicy(ctx context.Context, l *lookup, s *section, domain string) stsState {
	host := "mta-sts." + domain
	row := Requirement{
		Role: "mta-sts policy", CheckedBy: "sending mail servers", Enforcement: Info,
		SNI: host, Accept: []string{host}, HostHeader: host,
	}
	txt := l.resolve(ctx, "_mta-sts."+domain, dns.TypeTXT)
	row.Evidence = []Evidence{txt.evidence("RFC 8461, 3.1")}
	if txt.state == Undetermined {
		s.warn("ask again, or ask another resolver", "TXT _mta-sts.%s: %s", domain, txt.why)
		s.none(row, Undetermined, "TXT _mta-sts."+domain+": "+txt.why)
		return stsState{when: stsUnknown}
	}
	if why, broken := stsRecord(txt); why != "" {
		if broken {
			s.fail(`publish one record of the form "v=STSv1; id=20260101;"`, "TXT _mta-sts.%s: %s: senders act as if there were none", domain, why)
		}
		s.none(row, Absent, "TXT _mta-sts."+domain+": "+why)
		return stsState{}
	}
	doc := s.keep(l.document(ctx, host, "/.well-known/mta-sts.txt", false, maxPolicy, readPolicy))
	for i := range doc.Visits {
		if p, ok := doc.Visits[i].value.(*stsPolicy); ok {
			doc.Visits[i].Lasts = p.maxAge
		}
	}
	addDocument(s, doc, row, "RFC 8461, 3.2 and 3.3")
	reportDocument(s, doc)
	if doc.State == Absent {
		s.fail("serve the policy, with status 200 and a trusted certificate",
			"MTA-STS: the policy of %s cannot be had: senders that do not know it yet act as if there were none: %s", domain, doc.Why)
	}
	good := doc.good()
	switch {
	case doc.State == Undetermined:
		return stsState{led: doc.evidence("RFC 8461, 3.2"), when: stsUnknown}
	case len(good) == 0:
		return stsState{led: doc.evidence("RFC 8461, 3.2"), when: stsCached}
	}
	if t := good[0].header.Get("Content-Type"); !strings.HasPrefix(t, "text/plain") {
		s.warn("send Content-Type: text/plain", "%s has the type %.100q, not text/plain", doc.URL, t)
	}
	return stsState{stsPolicy: good[0].value.(*stsPolicy), led: doc.evidence("RFC 8461, 3.2")}
}

// stsRecord says why there is no usable record; broken if there should be one.
func stsRecord(txt reply) (why string, broken bool) {
	var found []string
	for _, rr := range txt.rrs {
		if t, ok := rr.(*dns.TXT); ok && isSTS(strings.Join(t.Txt, "")) {
			found = append(found, strings.Join(t.Txt, ""))
		}
	}
	switch {
	case txt.state == Absent:
		return txt.why, false
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
