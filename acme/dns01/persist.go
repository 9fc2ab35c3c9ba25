package dns01

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"keypaird/acme"
	"keypaird/renew/problem"
)

// Persist solves dns-persist-01 challenges (draft-ietf-acme-dns-persist): the
// operator has published, once, a record that lets this CA account certify the
// name. Persist only checks that the record exists.
type Persist struct {
	Resolvers []string     // host:port; all of them must have the record; empty: the authoritative servers must
	System    []string     // host:port; find the authoritative servers; empty: resolv.conf's
	Port      string       // of the authoritative servers; empty: "53"
	Log       *slog.Logger // nil: nothing is logged

	grace time.Duration // of the Checker
}

// Solve checks for the record and calls validate. If there is no record, or no
// server answers, it does not call validate, and the error's remedy is the record
// to add.
func (p *Persist) Solve(ctx context.Context, c acme.Challenge, validate func(context.Context) error) error {
	if len(c.Issuers) == 0 {
		return problem.Newf("validate it by dns-01 or http-01, or name another CA in sign_with", "the CA names no issuer domain for dns-persist-01 of %s", c.Identifier)
	}
	if !printable(c.AccountURL) {
		return problem.Newf("validate the name by dns-01 or http-01: at this CA no record can name the account", "account URL %q cannot be part of a record", c.AccountURL)
	}
	if err := p.Check(ctx, c); err != nil {
		return err
	}
	return validate(ctx)
}

// Check only checks for the record.
func (p *Persist) Check(ctx context.Context, c acme.Challenge) error {
	fqdn := persistName(c.Identifier)
	check := Checker{Resolvers: p.Resolvers, System: p.System, Port: p.Port, Grace: p.grace, Log: p.Log}
	err := check.await(ctx, fqdn, true, 0, func(txts []string) bool {
		return slices.ContainsFunc(txts, func(txt string) bool { return permits(txt, c, time.Now()) })
	}, &found{})
	var unseen *PropagationError
	if !errors.As(err, &unseen) {
		return err
	}
	return missingRecord(unseen, persistRecord(c.Identifier, c.Wildcard, c.Issuers[0], c.AccountURL))
}

// missingRecord returns the error for a domain without the record for dns-persist-01,
// or without servers that answer; record is a line of a zone file.
func missingRecord(unseen *PropagationError, record string) error {
	found := unseen.Found
	if unseen.Server != "" {
		found = unseen.Server + ": " + found
	}
	if unseen.Blocked {
		return problem.Newf("allow UDP and TCP to port 53 and check the domain's name servers; unless it exists, add this record: "+record,
			"cannot find out whether %s has the record that lets this CA account certify the name: %s", unseen.FQDN, found)
	}
	return problem.Newf("add this record: "+record,
		"%s has no record that lets this CA account certify the name: %s", unseen.FQDN, found)
}

func persistName(domain string) string { return "_validation-persist." + dns.Fqdn(domain) }

// persistRecord returns the record for dns-persist-01 as a line of a zone file: it lets
// the account certify domain, and with wildcard also *.domain, at the CA with the
// issuer domain name.
func persistRecord(domain string, wildcard bool, issuer, accountURL string) string {
	value := issuer + "; accounturi=" + accountURL
	if wildcard {
		value += "; policy=wildcard"
	}
	return persistName(domain) + " IN TXT " + zoneStrings(value)
}

// zoneStrings quotes a value in strings of at most 255 bytes (RFC 1035, section
// 3.3.14).
func zoneStrings(value string) string {
	var parts []string
	for len(value) > 255 {
		parts = append(parts, quoteZone(value[:255]))
		value = value[255:]
	}
	return strings.Join(append(parts, quoteZone(value)), " ")
}

func quoteZone(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// permits reports whether a CA accepts a record for c. Its syntax is the issue-value
// of RFC 8659, section 4.2: ISSUER *(";" TAG "=" VALUE).
func permits(txt string, c acme.Challenge, now time.Time) bool {
	issuer, rest, more := strings.Cut(txt, ";")
	if !slices.Contains(c.Issuers, trim(issuer)) {
		return false
	}
	values := map[string]string{}
	for more {
		var param string
		param, rest, more = strings.Cut(rest, ";")
		tag, value, ok := strings.Cut(trim(param), "=")
		tag, value = strings.ToLower(trim(tag)), trim(value)
		if _, twice := values[tag]; !ok || twice || tag == "" || !printable(value) {
			return false // malformed: a CA ignores the record
		}
		values[tag] = value
	}
	if until, ok := values["persistuntil"]; ok {
		unix, err := strconv.ParseInt(until, 10, 64)
		if err != nil || now.After(time.Unix(unix, 0)) {
			return false
		}
	}
	// Issuer and account are compared byte by byte.
	return values["accounturi"] != "" && values["accounturi"] == c.AccountURL &&
		(!c.Wildcard || strings.EqualFold(values["policy"], "wildcard"))
}

func trim(s string) string { return strings.Trim(s, " \t") }

// printable reports whether a value may be part of a record: visible ASCII without
// the separator.
func printable(value string) bool {
	for _, r := range value {
		if r < '!' || r > '~' || r == ';' {
			return false
		}
	}
	return true
}
