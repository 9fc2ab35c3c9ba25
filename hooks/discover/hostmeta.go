package discover

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"keypaird/hooks/discover/records"
	"keypaird/hooks/discover/web"
)

const hostMetaSpec = "XEP-0156"

// A link is one connection method in a host-meta document.
type link struct {
	rel string
	url *url.URL // of websocket and BOSH

	// of XEP-0487, which is experimental
	port  uint16
	sni   string
	addrs []netip.Addr
}

const altConnections = "urn:xmpp:alt-connections:"

// findHostMeta finds the connection managers that clients in browsers use. Clients
// expect the host of the URL or the XMPP domain on their certificates.
func findHostMeta(ctx context.Context, l *lookup, s *section) {
	for _, f := range []struct {
		name string
		read web.Parser
	}{{"host-meta", web.IfOK(readXRD)}, {"host-meta.json", web.IfOK(readJRD)}} {
		row := Requirement{
			Role: f.name, CheckedBy: "XMPP clients", Enforcement: Info,
			SNI: l.name.Host, Accept: []string{l.name.Host}, HostHeader: l.name.Host,
		}
		doc := fetch(ctx, l, s, l.name.Host, "/.well-known/"+f.name, f.read)
		addDocument(s, doc, row, hostMetaSpec)
		reportDocument(s, doc)
		strict := row
		strict.Enforcement = Must
		addRedirects(ctx, l, s, doc, strict)
		for _, v := range doc.Good() {
			for _, one := range v.Value.([]link) {
				addLink(ctx, l, s, one, l.name.Host, doc.Evidence(hostMetaSpec))
			}
		}
	}
}

func addLink(ctx context.Context, l *lookup, s *section, to link, domain string, led records.Evidence) {
	row := Requirement{CheckedBy: "XMPP clients", Enforcement: Must, Evidence: []records.Evidence{led}}
	kind := strings.TrimPrefix(to.rel, altConnections)
	if to.url != nil {
		host := to.url.Hostname()
		port, _ := web.PortOf(to.url)
		row.Role, row.SNI, row.HostHeader, row.Accept = kind, sni(host), records.HostPort(host, port), []string{host}
		if host != domain {
			row.Accept = append(row.Accept, domain)
		}
		if at := addLocated(ctx, l, s, row, "https", host, port); at.State == records.Absent {
			reportDead(s, led.What, at.Why, host)
		}
		return
	}
	row.Role, row.SNI, row.Accept, row.Enforcement = kind+" by host-meta", to.sni, []string{to.sni}, Info
	if to.sni != domain {
		row.Accept = append(row.Accept, domain)
	}
	row.ALPN = []string{"xmpp-client"}
	if strings.HasPrefix(kind, "s2s-") {
		row.ALPN, row.CheckedBy = []string{"xmpp-server"}, "XMPP servers"
	}
	row.Endpoint, row.State, row.Addrs = Place{"tls", to.sni, to.port}, records.Found, to.addrs
	row.Evidence[0].Spec = "XEP-0487, experimental"
	s.add(row)
}

// readXRD reads host-meta (RFC 6415).
func readXRD(body []byte) (string, any, error) {
	return linksSay(parseXRD(body))
}

func parseXRD(body []byte) ([]link, error) {
	var doc struct {
		XMLName xml.Name `xml:"XRD"`
		Links   []struct {
			Rel  string `xml:"rel,attr"`
			Href string `xml:"href,attr"`
		} `xml:"Link"`
	}
	if err := xml.NewDecoder(bytes.NewReader(body)).Decode(&doc); err != nil {
		return nil, errors.New("not an XRD document")
	}
	var list []link
	for _, l := range doc.Links {
		list = appendLink(list, l.Rel, l.Href)
	}
	return list, nil
}

// appendLink appends a link if it is a method of XEP-0156 that uses TLS, as XEP-0156
// requires.
func appendLink(list []link, rel, href string) []link {
	if rel != altConnections+"websocket" && rel != altConnections+"xbosh" || len(list) >= records.MaxRecords {
		return list
	}
	u, err := parseURL(href, "https", "wss")
	if err != nil {
		return list
	}
	return append(list, link{rel: rel, url: u})
}

// readJRD reads host-meta.json (RFC 6415, appendix A).
func readJRD(body []byte) (string, any, error) {
	return linksSay(parseJRD(body))
}

func parseJRD(body []byte) ([]link, error) {
	fields, err := object(body)
	if err != nil {
		return nil, err
	}
	var links []struct {
		Rel  string   `json:"rel"`
		Href string   `json:"href"`
		Port int      `json:"port"`
		SNI  string   `json:"sni"`
		IPs  []string `json:"ips"`
	}
	if raw, ok := fields["links"]; ok && json.Unmarshal(raw, &links) != nil {
		return nil, errors.New(`"links" is not a list of links`)
	}
	var list []link
	for _, l := range links {
		list = appendLink(list, l.Rel, l.Href)
		direct := l.Rel == altConnections+"tls" || l.Rel == altConnections+"s2s-tls"
		if !direct || l.Port < 1 || l.Port > 65535 || records.HostFault(l.SNI, false) != "" || len(list) >= records.MaxRecords {
			continue
		}
		one := link{rel: l.Rel, port: uint16(l.Port), sni: strings.ToLower(l.SNI)}
		for _, text := range l.IPs[:min(len(l.IPs), records.MaxAddrs)] {
			if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" && !ip.IsUnspecified() {
				one.addrs = append(one.addrs, ip)
			}
		}
		if len(one.addrs) > 0 {
			list = append(list, one)
		}
	}
	return list, nil
}

var errNoLinks = errors.New("no XMPP connection method")

// linksSay returns a summary that does not depend on the order of links.
func linksSay(list []link, err error) (string, any, error) {
	if err == nil && len(list) == 0 {
		err = errNoLinks
	}
	if err != nil {
		return "", nil, err
	}
	var texts []string
	for _, l := range list {
		text := strings.TrimPrefix(l.rel, altConnections) + " "
		if l.url != nil {
			texts = append(texts, text+l.url.String())
		} else {
			texts = append(texts, text+records.HostPort(l.sni, l.port))
		}
	}
	slices.Sort(texts)
	return strings.Join(texts, ", "), list, nil
}
