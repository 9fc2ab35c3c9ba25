package discover

import "testing"

// Sections are of RFC 6120 where nothing else is named.
var xmppStories = []story{
	{
		name: "xmpp srv", spec: "3.2.1: SRV; 13.7.2.1: the certificate is for the domain, whatever the target",
		zone: "@ IN A {1}\nxmpp IN A {2}\nxmpp2 IN A {3}\n_xmpp-client._tcp IN SRV 5 0 5222 xmpp\n_xmpp-server._tcp IN SRV 5 0 5269 xmpp\n_xmpp-server._tcp IN SRV 9 0 5270 xmpp2\n",
		want: `c2s xmpp-client:xmpp.@:5222 sni=@ accept=@ must found
			s2s xmpp-server:xmpp.@:5269 sni=@ accept=@ must found
			s2s xmpp-server:xmpp2.@:5270 sni=@ accept=@ must found`,
	}, {
		name: "xmpp nothing", spec: "3.2.2: no SRV: the domain itself, on 5222 and 5269",
		zone: "@ IN A {1}\n",
		want: `c2s xmpp-client:@:5222 sni=@ accept=@ must found default
			s2s xmpp-server:@:5269 sni=@ accept=@ must found default`,
	}, {
		name: "xmpp nowhere", spec: "3.2.2: and no address: nothing to connect to",
		zone: "",
		want: `c2s xmpp-client:@:5222 sni=@ accept=@ must absent default
			s2s xmpp-server:@:5269 sni=@ accept=@ must absent default`,
	}, {
		name: "xmpp off", spec: `3.2.1, 3: a single target ".": not offered; no fallback`,
		zone: "@ IN A {1}\n_xmpp-client._tcp IN SRV 0 0 0 .\n_xmpp-server._tcp IN SRV 0 0 0 .\n",
		want: `c2s disabled
			s2s disabled`,
	}, {
		name: "xmpp both kinds", spec: "XEP-0368: direct TLS beside STARTTLS: same certificates, SNI the domain, ALPN xmpp-client and xmpp-server",
		zone: "@ IN A {1}\nxmpp IN A {2}\n_xmpp-client._tcp IN SRV 5 0 5222 xmpp\n_xmpps-client._tcp IN SRV 5 0 443 xmpp\n_xmpp-server._tcp IN SRV 5 0 5269 xmpp\n_xmpps-server._tcp IN SRV 5 0 5270 xmpp\n",
		want: `c2s-direct-TLS tls:xmpp.@:443 sni=@ accept=@ alpn=xmpp-client must found
			c2s xmpp-client:xmpp.@:5222 sni=@ accept=@ must found
			s2s-direct-TLS tls:xmpp.@:5270 sni=@ accept=@ alpn=xmpp-server must found
			s2s xmpp-server:xmpp.@:5269 sni=@ accept=@ must found`,
	}, {
		name: "xmpp direct only", spec: "XEP-0368, and 3.2.2 for peers that know only RFC 6120: they see no record and fall back",
		zone: "@ IN A {1}\nxmpp IN A {2}\n_xmpps-client._tcp IN SRV 5 0 443 xmpp\n_xmpps-server._tcp IN SRV 5 0 5270 xmpp\n",
		want: `c2s-direct-TLS tls:xmpp.@:443 sni=@ accept=@ alpn=xmpp-client must found
			c2s xmpp-client:@:5222 sni=@ accept=@ info found default when
			s2s-direct-TLS tls:xmpp.@:5270 sni=@ accept=@ alpn=xmpp-server must found
			s2s xmpp-server:@:5269 sni=@ accept=@ info found default when`,
	}, {
		name: "xmpp no direct", spec: `XEP-0368: "." for xmpps: look up xmpp, and never fall back to addresses`,
		zone: "@ IN A {1}\nxmpp IN A {2}\n_xmpps-client._tcp IN SRV 0 0 0 .\n_xmpp-client._tcp IN SRV 5 0 5222 xmpp\n_xmpps-server._tcp IN SRV 0 0 0 .\n",
		want: `c2s-direct-TLS disabled
			c2s xmpp-client:xmpp.@:5222 sni=@ accept=@ must found
			s2s-direct-TLS disabled
			s2s absent`,
	}, {
		name: "xmpp fails", spec: "a failing look-up is no answer: no fallback is concluded",
		zone: "@ IN A {1}\n", broken: "_xmpp-client._tcp _xmpps-server._tcp",
		want: `c2s undetermined
			s2s-direct-TLS undetermined
			s2s undetermined`,
		says: `SRV _xmpp-client._tcp.@: resolver 127.0.0.1:53: answered SERVFAIL
			SRV _xmpps-server._tcp.@: resolver 127.0.0.1:53: answered SERVFAIL`,
	}, {
		name: "xmpp components", spec: "13.7.2.1: each component is a domain of its own for other servers; clients do not connect to it",
		zone: "@ IN A {1}\nxmpp IN A {2}\n_xmpp-client._tcp IN SRV 5 0 5222 xmpp\n_xmpp-server._tcp IN SRV 5 0 5269 xmpp\n_xmpp-server._tcp.conference IN SRV 5 0 5269 xmpp\nupload IN A {3}\n",
		want: `c2s xmpp-client:xmpp.@:5222 sni=@ accept=@ must found
			s2s xmpp-server:xmpp.@:5269 sni=@ accept=@ must found
			conference.@ s2s xmpp-server:xmpp.@:5269 sni=conference.@ accept=conference.@ must found
			upload.@ s2s xmpp-server:upload.@:5269 sni=upload.@ accept=upload.@ must found default`,
		components: []string{"conference.@", "Upload.@.", "@"},
	},
}

func TestXMPP(t *testing.T) {
	w := newWorld(t, xmppStories)
	tell(t, w, xmppStories, "xmpp", findXMPP)
}

const xrd = `<?xml version='1.0' encoding='utf-8'?>
<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>
  <Link rel="urn:xmpp:alt-connections:xbosh" href="https://web.@:5280/bosh" />
  <Link rel="urn:xmpp:alt-connections:websocket" href="wss://web.@/ws" />
  <Link rel="urn:xmpp:alt-connections:websocket" href="ws://plain.@/ws" />
  <Link rel="lrdd" href="https://other.@/x" />
</XRD>`

const jrd = `{"links": [
  {"rel": "urn:xmpp:alt-connections:websocket", "href": "wss://web.@/ws"},
  {"rel": "urn:xmpp:alt-connections:s2s-tls", "port": 443, "ips": ["{3}"], "sni": "@", "priority": 1, "weight": 1}
]}`

var hostMetaStories = []story{
	{
		name: "host-meta both", spec: "XEP-0156: https and wss only; certificate for the host of the URL or for the XMPP domain; XEP-0487 for s2s-tls",
		zone: "@ IN A {1}\nweb IN A {2}\n",
		web:  []site9{{addr: "{1}", host: "@", files: map[string]string{"/.well-known/host-meta": xrd, "/.well-known/host-meta.json": jrd}}},
		want: `host-meta https:@:443 sni=@ accept=@ host=@ must found
			xbosh https:web.@:5280 sni=web.@ accept=web.@,@ host=web.@:5280 must found
			websocket https:web.@:443 sni=web.@ accept=web.@,@ host=web.@ must found
			host-meta.json https:@:443 sni=@ accept=@ host=@ must found
			s2s-tls-by-host-meta tls:@:443 sni=@ accept=@ alpn=xmpp-server info found`,
	}, {
		name: "host-meta of others", spec: "RFC 6415: host-meta is not only for XMPP",
		zone: "@ IN A {1}\n",
		web: []site9{{addr: "{1}", host: "@", files: map[string]string{
			"/.well-known/host-meta":      `<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'><Link rel="lrdd" href="https://x/"/></XRD>`,
			"/.well-known/host-meta.json": `[]`}}},
		want: `host-meta https:@:443 sni=@ accept=@ host=@ info absent
			host-meta.json https:@:443 sni=@ accept=@ host=@ info absent`,
	}, {
		name: "host-meta none", spec: "XEP-0156: only a fallback",
		zone: "@ IN A {1}\n", web: empty(),
		want: `host-meta https:@:443 sni=@ accept=@ host=@ info absent
			host-meta.json https:@:443 sni=@ accept=@ host=@ info absent`,
	},
}

func TestHostMeta(t *testing.T) {
	w := newWorld(t, hostMetaStories)
	tell(t, w, hostMetaStories, "xmpp", findHostMeta)
}
