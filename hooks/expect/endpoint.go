package expect

import (
	"slices"
	"strings"

	"keypaird/hooks/probe"
)

// An Endpoint is an endpoint that must serve the pairs of a deployment.
type Endpoint struct {
	probe.Endpoint
	Names []string // requested there; nil: those of the targets that belong to its protocol
}

// String returns the endpoint and, if given, its names.
func (e Endpoint) String() string {
	if e.Names == nil {
		return e.Endpoint.String()
	}
	return e.Endpoint.String() + " for " + strings.Join(e.Names, " ")
}

// Expected returns those of a target's names that peers request at the endpoint. The
// target belongs to an identity with a plain domain and XMPP components; without a
// domain, any name may be requested anywhere.
func (e Endpoint) Expected(names []string, domain string, components []string) []string {
	isComponent := func(name string) bool { return slices.Contains(components, name) }
	switch use := useOf(e.Endpoint); {
	case e.Names != nil:
		return keep(names, func(name string) bool { return slices.Contains(e.Names, name) })
	case domain == "" || use == anything:
		return names
	case use == xmppServer:
		return keep(names, func(name string) bool { return name == domain || isComponent(name) })
	case use == xmppClient: // clients log in to the domain
		return keep(names, func(name string) bool { return name == domain })
	}
	if hosts := keep(names, func(name string) bool { return !isComponent(name) }); len(hosts) > 0 {
		return hosts
	}
	return names // the target is for components alone
}

// keep returns the names for which want holds.
func keep(names []string, want func(string) bool) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !want(name) })
}

// A use is a way in which peers use an endpoint.
type use int

const (
	anything use = iota
	xmppClient
	xmppServer
	webOrMail
)

// useOf returns the use of an endpoint, as far as its protocol or port shows it.
func useOf(e probe.Endpoint) use {
	switch e.Proto {
	case "xmpp-client":
		return xmppClient
	case "xmpp-server":
		return xmppServer
	case "", "tls":
		switch e.Port {
		case 5223: // direct TLS (XEP-0368)
			return xmppClient
		case 5270:
			return xmppServer
		case 443, 8448, 465, 993, 995:
			return webOrMail
		}
		return anything
	}
	return webOrMail
}
