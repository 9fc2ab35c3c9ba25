package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// A nameError says what is wrong with a name, and what would be right.
type nameError struct{ problem, remedy string }

func (e *nameError) Error() string { return e.problem }

// toASCII maps names as people write them to A-labels (RFC 5891), strictly.
var toASCII = idna.New(
	idna.MapForLookup(), idna.BidiRule(), idna.ValidateForRegistration(), idna.StrictDomainName(true), idna.VerifyDNSLength(true),
)

// normalName returns a name to certify in the one form used from here on: lower
// case, A-labels, no final dot, addresses as RFC 5952 writes them.
func normalName(s string) (string, error) {
	name := strings.TrimSpace(s)
	switch {
	case name == "":
		return "", &nameError{"is empty", "write a name such as example.org"}
	case strings.Contains(name, "://"):
		return "", &nameError{"is a URL", "write the name alone: example.org"}
	case strings.Contains(name, "@"):
		return "", &nameError{"is an address of a person", "write what follows the @"}
	case strings.ContainsAny(name, "/\\"):
		return "", &nameError{"is a path", "write the name alone: example.org"}
	}
	if ip, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		if ip.Zone() != "" {
			return "", &nameError{"has a zone", "CAs certify global addresses only"}
		}
		return ip.Unmap().String(), nil
	}
	if host, port, ok := strings.Cut(name, ":"); ok {
		return "", &nameError{"has a port", fmt.Sprintf("write %s without :%s", host, port)}
	}
	rest, wildcard := strings.CutPrefix(name, "*.")
	if strings.Contains(rest, "*") {
		return "", &nameError{"has a * that is not its whole first label", "write *.example.org"}
	}
	ascii, err := toASCII.ToASCII(strings.TrimSuffix(rest, "."))
	if err != nil {
		return "", &nameError{"is not a DNS name: " + reason(rest, err), "use letters, digits and inner hyphens, at most 63 to a label and 253 in all"}
	}
	labels := strings.Split(ascii, ".")
	if strings.Trim(labels[len(labels)-1], "0123456789") == "" {
		return "", &nameError{"ends in a number, as no DNS name does", "write a whole IP address or a DNS name"}
	}
	if wildcard {
		ascii = "*." + ascii
	}
	if len(ascii) > 253 {
		return "", &nameError{"is longer than 253 characters", "shorten it"}
	}
	return ascii, nil
}

// reason says in plain words why a name is none.
func reason(name string, err error) string {
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		switch {
		case label == "":
			return "it has an empty label"
		case len(label) > 63:
			return "a label is longer than 63 characters"
		case strings.HasPrefix(label, "-"), strings.HasSuffix(label, "-"):
			return fmt.Sprintf("label %q begins or ends with a hyphen", label)
		case strings.ContainsAny(label, " \t\n"):
			return "it contains a space"
		case strings.Contains(label, "_"):
			return "it contains an underscore"
		}
	}
	if len(name) > 253 {
		return "it is longer than 253 characters"
	}
	return strings.TrimPrefix(err.Error(), "idna: ")
}

// isAddress reports whether a normal name is an IP address.
func isAddress(name string) bool {
	_, err := netip.ParseAddr(name)
	return err == nil
}

// remedyOf returns the remedy of a nameError.
func remedyOf(err error) string {
	var n *nameError
	if errors.As(err, &n) {
		return n.remedy
	}
	return ""
}
