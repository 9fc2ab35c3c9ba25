package names

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"keypaird/cmd/keypaird-names/message"
	"keypaird/cmd/keypaird/cli"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/config/hostname"
)

// A Lookup contains the values of the flags that discover and verify share.
type Lookup struct {
	message.Lookup
	RootsFile  string   // of CAs that are trusted too; empty: none
	Services   []string // none: all
	Components []string // further XMPP domains
}

// Flags defines the flags that both commands have, and returns what they set.
func Flags(f *flag.FlagSet) *Lookup {
	d := &Lookup{Lookup: message.Lookup{Resolve: map[string][]netip.Addr{}}}
	f.StringVar(&d.RootsFile, "roots", "", "trust the CAs in this PEM `file` too")
	f.Func("service", "find this `service` only, one of "+strings.Join(slices.Sorted(slices.Values(config.Services)), ", ")+"; may be given several times", appendTo(&d.Services))
	f.Func("component", "a further XMPP `domain`, such as conference.example.org; may be given several times", appendTo(&d.Components))
	f.Func("resolver", "ask the DNS server at this `address`, with :port if it is not 53; may be given several times", func(s string) error {
		server, err := parseResolver(s)
		d.Resolvers = append(d.Resolvers, server)
		return err
	})
	f.Func("resolve", "take NAME to be at ADDRESS whatever DNS says, as `NAME=ADDRESS`; may be given several times", func(s string) error {
		host, addrs, err := parseResolve(s)
		for _, addr := range addrs {
			if !slices.Contains(d.Resolve[host], addr) {
				d.Resolve[host] = append(d.Resolve[host], addr)
			}
		}
		return err
	})
	return d
}

// Formats defines the flags of verify for the format of its output, and returns a function
// that returns the format chosen.
func Formats(f *flag.FlagSet) func() (message.Format, error) {
	asJSON := f.Bool("json", false, "print the checks as JSON")
	asTAP := f.Bool("tap", false, "print the checks in the Test Anything Protocol, version 13")
	return func() (message.Format, error) {
		switch {
		case *asJSON && *asTAP:
			return "", cli.Usage("-json and -tap exclude each other")
		case *asJSON:
			return message.JSON, nil
		case *asTAP:
			return message.TAP, nil
		}
		return message.Text, nil
	}
}

func parseResolver(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = hostname.TrimBrackets(s), "53"
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return "", errors.New("a resolver is an IP address, with or without a port: 192.0.2.53 or [2001:db8::53]:5353")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", errors.New("a port is a number from 1 to 65535")
	}
	return net.JoinHostPort(host, port), nil
}

func parseResolve(s string) (host string, addrs []netip.Addr, err error) {
	name, addresses, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return "", nil, errors.New("write NAME=ADDRESS, such as matrix.example.org=192.0.2.7")
	}
	name = strings.TrimSuffix(name, ".")
	if host, err = hostname.ToASCII(name); err != nil {
		if !strings.Contains(name, "_") { // hosts sometimes have one, whatever the rules say
			return "", nil, fmt.Errorf("%q is no name", name)
		}
		host = strings.ToLower(name)
	}
	for text := range strings.SplitSeq(addresses, ",") {
		addr, err := netip.ParseAddr(hostname.TrimBrackets(text))
		if err != nil {
			return "", nil, fmt.Errorf("%q is no IP address", text)
		}
		addrs = append(addrs, addr.Unmap())
	}
	return host, addrs, nil
}

// ParseDomain returns the domain that an operator has typed, as DNS has it, and the
// services that are meant. "@ann:example.org" is about Matrix alone.
func (l *Lookup) ParseDomain(s string) (domain string, services []string) {
	services = l.Services
	if _, server, ok := strings.Cut(s, ":"); ok && strings.HasPrefix(s, "@") {
		s = server
		if len(services) == 0 {
			services = []string{"matrix"}
		}
	}
	return toDNS(s)[0], services
}

// appendTo returns a flag's function that appends its values, of which one flag may
// have several with commas between.
func appendTo(list *[]string) func(string) error {
	return func(s string) error {
		for value := range strings.SplitSeq(s, ",") {
			*list = append(*list, strings.TrimSpace(value))
		}
		return nil
	}
}

// timeFlag returns a flag's function that reads a time as an operator types it: a
// date, a date and time of this machine, RFC 3339, or how long ago it was.
func timeFlag(at *time.Time) func(string) error {
	return func(s string) (err error) {
		*at, err = parseTime(s, time.Now())
		return err
	}
}

func parseTime(s string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(s); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"} {
		t, err := time.ParseInLocation(layout, s, now.Location())
		if err == nil && t.After(now) {
			return t, errors.New("it is still to come")
		}
		if err == nil {
			return t, nil
		}
	}
	return time.Time{}, errors.New("write 2026-11-03T14:00 or, for how long ago, 49h")
}

// toDNS returns domains as DNS has them. What is no domain is left as it is, for
// discover to complain of.
func toDNS(domains ...string) []string {
	out := slices.Clone(domains)
	for i, s := range out {
		if ascii, err := hostname.ToASCII(s); err == nil {
			out[i] = strings.TrimSuffix(ascii, ".")
		}
	}
	return out
}
