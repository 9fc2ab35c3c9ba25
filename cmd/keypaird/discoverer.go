package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"keypaird/cmd/keypaird/config"
	"keypaird/hooks/discover"
)

// lookFlags are the flags of commands that look at domains from outside.
type lookFlags struct {
	resolvers []string                // -resolver
	resolve   map[string][]netip.Addr // -resolve, by name
}

// addLookFlags defines the flags of whom to ask, and of what to take for
// granted.
func addLookFlags(f *flag.FlagSet) *lookFlags {
	l := &lookFlags{resolve: map[string][]netip.Addr{}}
	f.Func("resolver", "ask the DNS server at this `address`, with :port if it is not 53; may be given several times", l.addResolver)
	f.Func("resolve", "take NAME to be at ADDRESS whatever DNS says, as `NAME=ADDRESS`; may be given several times", l.addResolve)
	return l
}

func (l *lookFlags) addResolver(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = config.TrimBrackets(s), "53"
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return errors.New("a resolver is an IP address, with or without a port: 192.0.2.53 or [2001:db8::53]:5353")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return errors.New("a port is a number from 1 to 65535")
	}
	l.resolvers = append(l.resolvers, net.JoinHostPort(host, port))
	return nil
}

func (l *lookFlags) addResolve(s string) error {
	name, addresses, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return errors.New("write NAME=ADDRESS, such as matrix.example.org=192.0.2.7")
	}
	host, err := config.ToASCII(strings.TrimSuffix(name, "."))
	if err != nil && !strings.Contains(name, "_") { // hosts sometimes have one, whatever the rules say
		return fmt.Errorf("%q is no name", name)
	}
	if err != nil {
		host = strings.ToLower(strings.TrimSuffix(name, "."))
	}
	for text := range strings.SplitSeq(addresses, ",") {
		addr, err := netip.ParseAddr(config.TrimBrackets(text))
		if err != nil {
			return fmt.Errorf("%q is no IP address", text)
		}
		if addr = addr.Unmap(); !slices.Contains(l.resolve[host], addr) {
			l.resolve[host] = append(l.resolve[host], addr)
		}
	}
	return nil
}

// discoverer asks those whom the flags name, or else the system's resolvers.
func (l *lookFlags) discoverer(log *slog.Logger) (*discover.Discoverer, error) {
	return &discover.Discoverer{Resolvers: l.resolvers, Resolve: l.resolve, Log: log}, nil
}

// lookName is a domain as a person types it in the form DNS has it. What is no
// domain is left as it is, for discover to complain of.
func lookName(s string) string {
	if ascii, err := config.ToASCII(s); err == nil {
		return strings.TrimSuffix(ascii, ".")
	}
	return s
}
