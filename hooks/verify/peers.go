package verify

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"strings"

	"keypaird/hooks/discover"
	"keypaird/hooks/probe"
)

// Well-known programs of each kind of peers.
const (
	matrixServers = "(Synapse, Dendrite, tuwunel)"
	matrixClients = "Matrix clients (Element, FluffyChat, Nheko)"
	xmppServers   = "(ejabberd, Prosody)"
	xmppClients   = "(Conversations, Dino, Gajim)"
	mailPrograms  = "mail programs (Thunderbird, K-9 Mail, Apple Mail)"
	calendars     = "calendar programs (DAVx5, Thunderbird, Evolution)"
)

// affects returns sentences about the peers of a domain that a fault affects.
func affects(uses []discover.Requirement, domain string, f probe.Fault, leaf *x509.Certificate) []string {
	var list []string
	for _, r := range uses {
		if r.Enforcement != discover.Must && r.Enforcement != discover.Should {
			continue
		}
		s := effectOf(r, domain)
		switch f {
		case probe.EndsSoon, staleFault:
			s = fmt.Sprintf("no peer yet; from %s on, %s", leaf.NotAfter.UTC().Format("2006-01-02 15:04 MST"), s)
		case probe.Disorder:
			s = "some " + s
		case probe.NotClient:
			s = fmt.Sprintf("XMPP servers that require clientAuth (ejabberd before 25.08 without dialback) refuse the connections that %s makes: what it sends is not delivered there", r.Identity)
		case noSNIFault:
			s = "peers that send no SNI: " + s
		case probe.Incomplete:
			if r.Service == "web" {
				s += ", unless they find the missing certificate themselves"
			}
		}
		list = append(list, s)
	}
	return list
}

// effectOf says what the peers of a row do if the certificate is wrong.
func effectOf(r discover.Requirement, domain string) string {
	who, do := peersOf(r, domain)
	s := who + " " + do
	if r.When != "" {
		s = "when " + r.When + ", " + s
	}
	return s
}

// peersOf names the peers of a row, and what they do when they refuse a
// certificate.
func peersOf(r discover.Requirement, domain string) (who, do string) {
	id := r.Identity
	user := "ann@" + id
	switch role := cmp.Or(r.From, r.Role); r.Service {
	case "matrix":
		return matrixPeers(r, role, "@ann:"+id)
	case "xmpp":
		return xmppPeers(r, role, user, domain)
	case "smtp":
		return mailPeers(r, role, user)
	case "imap":
		switch role {
		case "autoconfig", "autodiscover", "autodiscover by SRV":
			return mailPrograms, "do not find the settings of " + user
		}
		return mailPrograms, "warn " + user + " or do not connect"
	case "caldav":
		return calendars, "warn " + user + " or do not connect"
	case "sip":
		return r.CheckedBy, "refuse sip:" + user
	case "web":
		return "browsers", "warn of https://" + r.Endpoint.Host + "/"
	}
	return r.CheckedBy, "refuse " + r.Endpoint.String()
}

func matrixPeers(r discover.Requirement, role, user string) (who, do string) {
	switch role {
	case "well-known":
		return "Matrix servers " + matrixServers, "do not believe what .well-known says of " + r.Identity
	case "client well-known":
		return matrixClients, "do not find the homeserver of " + user
	case "client":
		return matrixClients, "do not log " + user + " in"
	case "federation":
	default:
		return matrixClients, "do without the " + role + " of " + user
	}
	how := ""
	switch r.Step {
	case "3.1", "3.2":
		how = "that follow .well-known "
	case "3.3", "3.4":
		how = "that follow .well-known, then SRV, "
	case "3.5":
		how = "that follow .well-known, then try port 8448, "
	case "4", "5":
		how = "that follow SRV "
	case "6":
		how = "that try port 8448 "
	}
	return strings.TrimSuffix("Matrix servers "+how+matrixServers, " "), "refuse " + user
}

func xmppPeers(r discover.Requirement, role, user, domain string) (who, do string) {
	how := "that follow SRV "
	if r.Default {
		how = ""
	}
	switch role {
	case "s2s-tls by host-meta":
		how = "that follow host-meta "
		fallthrough
	case "s2s", "s2s direct TLS":
		if r.Identity != domain { // a component
			return "XMPP servers " + how + xmppServers, "refuse " + r.Identity
		}
		return "XMPP servers " + how + xmppServers, "refuse " + user
	case "c2s", "c2s direct TLS":
		return "XMPP clients " + how + xmppClients, "do not log " + user + " in"
	}
	return "XMPP clients in browsers (Converse.js, Movim)", "do not log " + user + " in"
}

func mailPeers(r discover.Requirement, role, user string) (who, do string) {
	switch {
	case role == "mx DANE":
		return "mail servers that check DANE (Postfix, Exim, Exchange Online)", "hold back mail for " + user
	case role == "mta-sts policy":
		return "mail servers that check MTA-STS (Gmail, Exchange Online)", "do not take the policy of " + r.Identity
	case r.Enforcement == discover.Should:
		return "mail servers that check MTA-STS (Gmail, Exchange Online)", "report that they could not deliver to " + user + " safely"
	}
	return "mail servers that check MTA-STS (Gmail, Exchange Online)", "do not deliver to " + user
}
