// Package hostname reads the names that certificates are for, as people write them, and
// compares them.
package hostname

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"keypaird/renew/problem"
)

// profile maps names as people write them to A-labels: UTS 46 as for looking
// up, and strictly what IDNA 2008 (RFC 5891) lets into a label.
var profile = idna.New(
	idna.MapForLookup(), idna.Transitional(false), idna.BidiRule(), idna.CheckHyphens(true), idna.CheckJoiners(true),
	idna.StrictDomainName(true), idna.VerifyDNSLength(true),
)

// ToASCII returns a name with its labels as A-labels.
func ToASCII(name string) (string, error) { return profile.ToASCII(name) }

// Normal returns a name to certify in the one form used from here on: lower
// case, A-labels, no final dot, addresses as RFC 5952 writes them. Its errors come
// with a remedy.
func Normal(s string) (string, error) {
	name := strings.TrimSpace(s)
	switch {
	case name == "":
		return "", problem.New("is empty", "write a name such as example.org, or leave it out")
	case len(name) > 4*maxName:
		return "", problem.New("is longer than 253 characters", "shorten it")
	case strings.Contains(name, "://"):
		return "", problem.New("is a URL", "write the name alone: example.org")
	case strings.Contains(name, "@"):
		return "", problem.New("is a mail address", "write what follows the @")
	case strings.ContainsRune(name, utf8.RuneError): // or not UTF-8
		return "", problem.New("has a character that is not valid UTF-8", "save the file in UTF-8")
	case strings.ContainsAny(name, "/\\"):
		return "", problem.New("is a path or a network", "write the name or address alone: example.org")
	}
	if ip, err := netip.ParseAddr(TrimBrackets(name)); err == nil {
		if ip.Zone() != "" {
			return "", problem.New("has a zone", "leave out what follows the %: CAs certify global addresses only")
		}
		return ip.Unmap().String(), nil
	}
	if host, port, ok := strings.Cut(name, ":"); ok {
		return "", problem.New("has a port", fmt.Sprintf("write %q without %q", host, ":"+port))
	}
	return dnsName(name)
}

// maxName is how long a DNS name can be.
const maxName = 253

// TrimBrackets returns an address without the brackets that URLs have.
func TrimBrackets(s string) string {
	if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
		return strings.TrimSuffix(inner, "]")
	}
	return s
}

// dnsName is Normal for what is no address.
func dnsName(name string) (string, error) {
	rest, wildcard := strings.CutPrefix(name, "*.")
	if strings.Contains(rest, "*") {
		return "", problem.New("has a * that is not its whole first label", "write *.example.org")
	}
	ascii, err := ToASCII(rest)
	if err != nil {
		return "", problem.New("is not a DNS name: "+reason(rest, err), "use letters, digits and inner hyphens, at most 63 to a label and 253 in all")
	}
	ascii = strings.TrimSuffix(ascii, ".")
	switch last := ascii[strings.LastIndex(ascii, ".")+1:]; {
	case last == "":
		return "", problem.New("is not a DNS name: it has an empty label", "remove the extra dots")
	case strings.Trim(last, "0123456789") == "":
		return "", problem.New("ends in a number, as no DNS name does", "write a whole IP address or a DNS name")
	}
	if wildcard {
		ascii = "*." + ascii
	}
	if len(ascii) > maxName {
		return "", problem.New("is longer than 253 characters", "shorten it")
	}
	return ascii, nil
}

// reason says in plain words why a name is none.
func reason(name string, err error) string {
	name = strings.NewReplacer("\u3002", ".", "\uff0e", ".", "\uff61", ".").Replace(name) // the dots of UTS 46
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		encoded, _ := idna.Punycode.ToASCII(label)
		ascii := strings.IndexFunc(label, func(c rune) bool { return c > unicode.MaxASCII }) < 0
		switch {
		case label == "":
			return "it has an empty label"
		case len(encoded) > 63:
			return "a label is longer than 63 characters, encoded"
		case strings.HasPrefix(label, "-"), strings.HasSuffix(label, "-"):
			return fmt.Sprintf("label %q begins or ends with a hyphen", label)
		case strings.ContainsFunc(label, unicode.IsSpace):
			return "it contains a space"
		case strings.Contains(label, "_"):
			return "it contains an underscore"
		case strings.HasPrefix(strings.ToLower(label), "xn--"):
			if _, err := ToASCII(label); err != nil {
				return fmt.Sprintf("label %q is not valid Punycode; write the Unicode name", label)
			}
		case ascii && len(label) > 3 && label[2:4] == "--":
			return fmt.Sprintf("label %q has hyphens in third and fourth place, which only encoded names have", label)
		}
	}
	if len(name) > maxName {
		return "it is longer than 253 characters"
	}
	return strings.TrimPrefix(err.Error(), "idna: ")
}

// IsAddress reports whether a normal name is an IP address.
func IsAddress(name string) bool {
	_, err := netip.ParseAddr(name)
	return err == nil
}

// Covers reports whether a certificate for one name is valid for another (RFC 6125,
// section 6.4.3).
func Covers(certified, name string, noWildcard bool) bool {
	if certified == name {
		return true
	}
	parent, wildcard := strings.CutPrefix(certified, "*.")
	_, rest, _ := strings.Cut(name, ".")
	return wildcard && !noWildcard && rest == parent
}

// TLSA parses the name of TLSA records (RFC 6698, section 3). why is not empty
// if it is none.
func TLSA(s string) (name, host, why string) {
	port, rest, _ := strings.Cut(strings.TrimSpace(s), ".")
	proto, rest, _ := strings.Cut(rest, ".")
	proto = strings.ToLower(proto)
	digits, underscore := strings.CutPrefix(port, "_")
	n, err := strconv.ParseUint(digits, 10, 16)
	switch {
	case !underscore || err != nil || n == 0 || strings.HasPrefix(digits, "0"):
		return "", "", "does not begin with a port such as _25"
	case !slices.Contains([]string{"_tcp", "_udp", "_sctp"}, proto):
		return "", "", "has no protocol, _tcp, _udp or _sctp, in second place"
	}
	host, err = Normal(rest)
	switch {
	case err != nil:
		return "", "", fmt.Sprintf("is about %q, which %v", rest, err)
	case IsAddress(host), strings.HasPrefix(host, "*."):
		return "", "", fmt.Sprintf("is about %q, which is no host", rest)
	}
	return strings.Join([]string{port, proto, host}, "."), host, ""
}
