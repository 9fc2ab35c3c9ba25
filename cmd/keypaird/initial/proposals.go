package initial

import (
	"slices"
	"strings"
)

// needsNoDNS reports whether all names can be validated by http-01.
func (w *draft) needsNoDNS() bool {
	return len(w.components) == 0 && (w.host == w.domain || w.hostOnly())
}

// proposeDomain returns the domain of this machine's name, or of a certificate in use.
func (w *draft) proposeDomain() string {
	if _, parent, ok := strings.Cut(w.machine.hostname, "."); ok && strings.Contains(parent, ".") {
		return parent
	}
	var names []string
	for _, s := range w.machine.servers {
		names = append(names, s.certify...)
	}
	for _, n := range names {
		if slices.ContainsFunc(names, func(o string) bool { return strings.HasSuffix(o, "."+n) }) {
			return n
		}
	}
	return ""
}

// proposeHost returns the host that DNS names, or one that this machine is known by.
func (w *draft) proposeHost() string {
	below := func(n string) bool { return strings.HasSuffix(n, "."+w.domain) && !strings.HasPrefix(n, "*") }
	if w.outside.Host != "" {
		return w.outside.Host
	}
	if below(w.machine.hostname) {
		return w.machine.hostname
	}
	names := slices.Clone(w.outside.Names)
	for _, s := range w.machine.servers {
		names = append(names, s.certify...)
	}
	for _, n := range names {
		first, _, _ := strings.Cut(n, ".")
		if below(n) && !slices.Contains([]string{"www", "autoconfig", "autodiscover", "mta-sts", "conference", "upload"}, first) {
			return n
		}
	}
	if slices.Contains(names, w.domain) || w.machine.hostname == w.domain {
		return w.domain
	}
	return ""
}

// serviceOf has the services of servers with a preset.
var serviceOf = map[string]string{
	"prosody": "xmpp", "ejabberd": "xmpp", "synapse": "matrix", "dendrite": "matrix", "tuwunel": "matrix", "postfix": "mail", "dovecot": "mail",
	"exim": "mail", "opensmtpd": "mail",
}

// proposeServices returns the services that DNS has, or that this machine runs.
func (w *draft) proposeServices() string {
	found := slices.Clone(w.outside.Services)
	if len(found) == 0 {
		for _, s := range w.machine.servers {
			if serviceOf[s.preset] != "" && s.runs {
				found = append(found, serviceOf[s.preset])
			}
		}
	}
	if slices.Contains(found, "smtp") && slices.Contains(found, "imap") {
		found = append(slices.DeleteFunc(found, func(s string) bool { return s == "smtp" || s == "imap" }), "mail")
	}
	return words(list(words(found)))
}

// proposeServers returns the servers that run and have one of the services, and the web server.
func (w *draft) proposeServers() (found []string) {
	runs := func(name string) bool { s := w.machine.server(name); return s != nil && s.runs }
	wanted := func(service string) bool {
		return len(w.services) == 0 || slices.ContainsFunc(w.services, func(s string) bool {
			return s == service || service == "mail" && (s == "smtp" || s == "imap")
		})
	}
	if !w.hostOnly() {
		for _, name := range webServers {
			if runs(name) && checkServers([]string{name}) == nil {
				found = append(found, name)
				break
			}
		}
	}
	for _, s := range w.machine.servers {
		name := s.preset
		matrix := serviceOf[name] == "matrix" && len(found) > 0 // behind the web server
		if serviceOf[name] != "" && runs(name) && wanted(serviceOf[name]) && !matrix && checkServers([]string{name}) == nil {
			found = append(found, name)
		}
	}
	return found
}

// webServer returns the server that passes challenges on, or "": not known.
func (w *draft) webServer() string {
	for _, name := range w.deploy {
		if slices.Contains(webServers, name) {
			return name
		}
	}
	for _, name := range webServers {
		if s := w.machine.server(name); s != nil && s.runs {
			return name
		}
	}
	return ""
}

func (w *draft) proposePort80() string {
	if w.machine.port80 || slices.ContainsFunc(w.deploy, func(s string) bool { return slices.Contains(webServers, s) }) {
		return byProxy
	}
	return byUs
}

// proposeDNS returns the provider of the zone, or the one for the name server of this machine.
func (w *draft) proposeDNS() string {
	if w.needsNoDNS() {
		return none
	}
	if code := providerOf(w.outside.NameServers); code != "" {
		return code
	}
	return ownProvider(w.machine.nameserv)
}

// proposeVariable returns a value that this machine or DNS knows.
func (w *draft) proposeVariable(name string) string {
	if name != "RFC2136_NAMESERVER" {
		return ""
	}
	if ownProvider(w.machine.nameserv) == "rfc2136" {
		return "127.0.0.1"
	}
	return w.outside.Primary
}
