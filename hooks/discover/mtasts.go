package discover

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"keypaird/hooks/discover/records"
)

// maxPolicy is how long a policy may be (RFC 8461, section 3.3).
const maxPolicy = 64 << 10

// maxPolicyAge is the longest life of a policy (RFC 8461, section 3.2).
const maxPolicyAge = 31557600

// An stsPolicy is what a domain asks of those who send mail to it.
type stsPolicy struct {
	mode   string // enforce, testing or none
	mx     []string
	maxAge time.Duration
}

// isSTS tells MTA-STS records from other TXT records.
func isSTS(txt string) bool {
	rest, ok := strings.CutPrefix(txt, "v=STSv1")
	return ok && strings.HasPrefix(strings.TrimLeft(rest, " \t"), ";")
}

// parseSTSRecord reads the record that announces a policy (RFC 8461, section
// 3.1) and returns its id.
func parseSTSRecord(txt string) (id string, err error) {
	rest, ok := strings.CutPrefix(txt, "v=STSv1")
	if !ok {
		return "", errors.New(`does not begin with "v=STSv1;"`)
	}
	fields := strings.Split(rest, ";")
	if strings.Trim(fields[0], " \t") != "" || len(fields) < 2 {
		return "", errors.New(`no ";" behind the version`)
	}
	for i, f := range fields[1:] {
		last := i == len(fields)-2
		if f = strings.Trim(f, " \t"); f == "" && last && i > 0 {
			break // one ";" may end it
		}
		name, value, ok := strings.Cut(f, "=")
		if !ok || !isKey(name) || value == "" || strings.ContainsFunc(value, notValue) {
			return "", fmt.Errorf("%.100q is not a field", f)
		}
		if name != "id" || id != "" {
			continue
		}
		if len(value) > 32 || strings.ContainsFunc(value, notAlphanumeric) {
			return "", fmt.Errorf("id %.100q: 1 to 32 letters and digits", value)
		}
		id = value
	}
	if id == "" {
		return "", errors.New("no id")
	}
	return id, nil
}

func notAlphanumeric(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

// notValue: %x21-3A / %x3C / %x3E-7E.
func notValue(r rune) bool { return r < 0x21 || r > 0x7e || r == ';' || r == '=' }

// isKey: (ALPHA / DIGIT) *31(ALPHA / DIGIT / "_" / "-" / ".").
func isKey(s string) bool {
	if s == "" || len(s) > 32 || notAlphanumeric(rune(s[0])) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return notAlphanumeric(r) && !strings.ContainsRune("_-.", r) })
}

// parsePolicy reads a policy (RFC 8461, section 3.2). Of fields that may be
// there once, the first one counts.
func parsePolicy(body []byte) (*stsPolicy, error) {
	if !utf8.Valid(body) {
		return nil, errors.New("not UTF-8")
	}
	fields := map[string]string{}
	p := &stsPolicy{}
	text := strings.TrimSuffix(strings.TrimSuffix(string(body), "\n"), "\r")
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		key, value, ok := strings.Cut(line, ":")
		if value = strings.Trim(value, " \t"); !ok || !isKey(key) || value == "" {
			return nil, fmt.Errorf("line %d: %.100q is not \"key: value\"", n+1, line)
		}
		if key == "mx" {
			if records.HostFault(strings.TrimPrefix(value, "*."), false) != "" {
				return nil, fmt.Errorf("line %d: %.100q is not a pattern of mail hosts", n+1, value)
			}
			p.mx = append(p.mx, strings.ToLower(value))
			continue
		}
		if _, twice := fields[key]; !twice {
			fields[key] = value
		}
	}
	p.mode = fields["mode"]
	age, err := strconv.ParseUint(fields["max_age"], 10, 64)
	switch {
	case fields["version"] != "STSv1":
		return nil, errors.New(`no "version: STSv1"`)
	case !slices.Contains([]string{"enforce", "testing", "none"}, p.mode):
		return nil, fmt.Errorf("mode %.100q: enforce, testing or none", p.mode)
	case err != nil || len(fields["max_age"]) > 10 || age > maxPolicyAge:
		return nil, fmt.Errorf("max_age %.100q: 0 to %d seconds", fields["max_age"], maxPolicyAge)
	case len(p.mx) == 0 && p.mode != "none":
		return nil, errors.New(`no "mx"`)
	}
	p.maxAge = time.Duration(age) * time.Second
	return p, nil
}

// readPolicy reads the policy as senders do: redirects are not followed and
// nothing but 200 counts (RFC 8461, section 3.3).
func readPolicy(body []byte) (string, any, error) {
	policy, err := parsePolicy(body)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("mode %s, mx %s, max_age %d", policy.mode, strings.Join(policy.mx, " "), int64(policy.maxAge/time.Second)), policy, nil
}

// strictness is what a policy makes of a wrong name, and when.
func (p stsState) strictness() (how Strictness, when string) {
	switch {
	case p.stsPolicy == nil && p.when != "":
		return Should, p.when
	case p.stsPolicy != nil && p.mode == "enforce":
		return Must, ""
	case p.stsPolicy != nil && p.mode == "testing":
		return Should, "" // it is reported
	}
	return Info, ""
}

// judge notes a mail host that the policy does not name (RFC 8461, section 4.1).
func (p stsState) judge(s *section, host string) {
	if p.stsPolicy == nil || p.mode == "none" || slices.ContainsFunc(p.mx, func(pattern string) bool { return matches(pattern, host) }) {
		return
	}
	const text, remedy = "MTA-STS: no mx of the policy matches %s: %s", "name it in the policy, then change the id of the TXT record"
	if p.mode == "enforce" {
		s.fail(remedy, text, host, "senders do not deliver to it")
		return
	}
	s.warn(remedy, text, host, "senders report it")
}

// matches tells whether a pattern names a host. "*" stands for one label.
func matches(pattern, host string) bool {
	if rest, ok := strings.CutPrefix(pattern, "*."); ok {
		_, parent, _ := strings.Cut(host, ".")
		return parent == rest
	}
	return pattern == host
}
