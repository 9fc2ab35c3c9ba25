package dns01

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// A CAA is a record that authorises CAs to issue certificates (RFC 8659).
type CAA struct {
	Critical   bool   // a CA that does not understand Tag must not issue
	Tag, Value string // Tag in lower case
}

// A CAASet is the CAA records that apply to a name.
type CAASet struct {
	Records []CAA
	Owner   string // the name that has them; empty: there are none, and every CA may issue
	Alias   string // the name with the CNAME that leads to Owner; empty: none does
}

// CAA returns the CAA records that apply to a name, with or without "*.": its own,
// those at the end of its CNAMEs, or else those of the nearest ancestor that has any
// (RFC 8659, section 3). An error means that a CA would not find them either, and
// must refuse.
func (c Checker) CAA(ctx context.Context, name string) (set CAASet, err error) {
	c = c.bounded()
	name = dns.CanonicalName(strings.TrimPrefix(name, "*."))
	for i, end := 0, false; !end; i, end = dns.NextLabel(name, i) {
		in, err := c.resolve(ctx, name[i:], dns.TypeCAA)
		if err != nil {
			return CAASet{}, fmt.Errorf("querying CAA records: %w", err)
		}
		for _, rr := range in.Answer {
			if caa, ok := rr.(*dns.CAA); ok {
				set.Records = append(set.Records, CAA{caa.Flag&128 != 0, strings.ToLower(caa.Tag), caa.Value})
				set.Owner = dns.CanonicalName(caa.Hdr.Name)
			}
		}
		if len(set.Records) == 0 {
			continue
		}
		if set.Owner != name[i:] {
			set.Alias = name[i:]
		}
		return set, nil
	}
	return CAASet{}, nil
}

// An Applicant is a CA that is to issue, with account and method.
type Applicant struct {
	Issuers    []string // the CA's issuer domain names
	AccountURL string   // "": not compared
	Method     string   // challenge type
	Wildcard   bool     // the name begins with "*."
}

// Refusal returns why CAA records forbid an applicant to issue, or "". A CA without
// known issuer domain names is assumed to be allowed.
func Refusal(records []CAA, a Applicant) string {
	tag := "issue"
	if a.Wildcard && slices.ContainsFunc(records, func(r CAA) bool { return r.Tag == "issuewild" }) {
		tag = "issuewild" // RFC 8659, section 4.3
	}
	if tag := unknownCritical(records); tag != "" {
		return fmt.Sprintf("critical tag %q", tag)
	}
	why, asked := "", false
	for _, r := range records {
		if r.Tag != tag {
			continue
		}
		asked = true
		reason, named := mismatch(r.Value, a)
		if reason == "" {
			return ""
		}
		if why == "" || why == nobody || named {
			why = reason
		}
	}
	if !asked || len(a.Issuers) == 0 && why != nobody {
		return ""
	}
	return why
}

// unknownCritical returns the tag of a record that is critical and that no CA understands,
// or "".
func unknownCritical(records []CAA) string {
	known := []string{"issue", "issuewild", "iodef", "issuemail", "issuevmc", "contactemail", "contactphone"}
	for _, r := range records {
		if r.Critical && !slices.Contains(known, r.Tag) {
			return r.Tag
		}
	}
	return ""
}

// nobody is the reason of a record without an issuer.
const nobody = "no CA may issue"

// mismatch returns why the value of one record does not allow a to issue, or "" (RFC
// 8659, section 4.2, with the parameters of RFC 8657). named: the record is for this CA.
func mismatch(value string, a Applicant) (why string, named bool) {
	issuer, rest, _ := strings.Cut(value, ";")
	issuer = strings.TrimSpace(issuer)
	if !slices.ContainsFunc(a.Issuers, func(s string) bool { return strings.EqualFold(s, issuer) }) {
		if issuer == "" {
			return nobody, false
		}
		return "only " + issuer + " may", false
	}
	for param := range strings.SplitSeq(rest, ";") {
		tag, v, _ := strings.Cut(param, "=")
		v = strings.TrimSpace(v)
		switch strings.ToLower(strings.TrimSpace(tag)) {
		case "accounturi":
			if a.AccountURL != "" && v != a.AccountURL {
				return "accounturi is " + v + ", ours is " + a.AccountURL, true
			}
		case "validationmethods":
			if !slices.Contains(strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' }), a.Method) {
				return "validationmethods are " + v + ", not " + a.Method, true
			}
		}
	}
	return "", true
}

// Remedy returns how to let an applicant issue that Refusal refuses: in general a line of a
// zone file.
func (s CAASet) Remedy(a Applicant) string {
	if unknownCritical(s.Records) != "" {
		return "remove the record with that tag at " + s.Owner + ", or write 0 in place of 128 for its flags: a CA refuses a critical tag that it does not know"
	}
	remedy := "add this record, or change the one there: " + Permission(s.Owner, a)
	if s.Alias != "" {
		remedy += "; if " + s.Owner + " is not yours to change, replace the CNAME of " + s.Alias + " with addresses and such a CAA record"
	}
	return remedy
}

// String names the owner.
func (s CAASet) String() string {
	if s.Alias != "" {
		return s.Owner + " (" + s.Alias + " is a CNAME)"
	}
	return s.Owner
}

// Permission returns the record that allows an applicant to issue, as a line of a
// zone file.
func Permission(at string, a Applicant) string {
	tag := "issue"
	if a.Wildcard {
		tag = "issuewild"
	}
	issuer := "the CA's issuer domain name"
	if len(a.Issuers) > 0 {
		issuer = a.Issuers[0]
	}
	value := issuer
	if a.AccountURL != "" {
		value += "; accounturi=" + a.AccountURL
	}
	return fmt.Sprintf("%s IN CAA 0 %s %q", at, tag, value+"; validationmethods="+a.Method)
}
