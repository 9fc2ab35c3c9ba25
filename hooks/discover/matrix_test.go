package discover

import (
	"testing"
	"time"
)

// wellKnown is a site at {1} that delegates to server.
func wellKnown(server string) []site9 {
	return []site9{{addr: "{1}", host: "@", files: map[string]string{"/.well-known/matrix/server": `{"m.server": "` + server + `"}`}}}
}

// empty is a web server without well-known documents.
func empty() []site9 { return []site9{{addr: "{1}", host: "@"}} }

// federationStories: "3.2" and so on are the steps of "Resolving server names"
// in the Matrix server-server API, as of v1.8 and later.
var federationStories = []story{
	{
		name: "step 3.1 address", spec: "3.1: delegated IP literal without a port: 8448, certificate for the address, Host is the address",
		zone: "@ IN A {1}\n", web: wellKnown("{2}"),
		led: `federation/3.1: https://@/.well-known/matrix/server found, server name {2}`,
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ must found
			federation/3.1 https:{2}:8448 accept={2} host={2} must found
			federation/6 https:@:8448 sni=@ accept=@ host=@ should found default when`,
	}, {
		name: "step 3.1 address and port", spec: "3.1: with the port if one was provided",
		zone: "@ IN A {1}\n", web: wellKnown("[::1]:443"),
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ must found
			federation/3.1 https:[::1]:443 accept=::1 host=[::1]:443 must found
			federation/6 https:@:8448 sni=@ accept=@ host=@ should found default when`,
	}, {
		name: "step 3.2", spec: "3.2: delegated host and port: addresses of the host, no SRV; Host with the port",
		zone: "@ IN A {1}\nmatrix IN A {2}\n_matrix-fed._tcp.matrix IN SRV 10 0 1234 elsewhere\n", web: wellKnown("matrix.@:443"),
		led: `federation/3.2: https://@/.well-known/matrix/server found, server name matrix.@:443, A matrix.@ found, AAAA matrix.@ absent
			federation/6: https://@/.well-known/matrix/server found, SRV _matrix-fed._tcp.@ absent, SRV _matrix._tcp.@ absent, default of @, A @ found, AAAA @ absent`,
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ must found
			federation/3.2 https:matrix.@:443 sni=matrix.@ accept=matrix.@ host=matrix.@:443 must found
			federation/6 https:@:8448 sni=@ accept=@ host=@ should found default when`,
	}, {
		name: "step 3.2 alias", spec: "3.2: CNAME, AAAA or A of the delegated host",
		zone: "@ IN A {1}\nmatrix IN CNAME box\nbox IN A {2}\n", web: wellKnown("matrix.@:8448"),
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ must found
			federation/3.2 https:matrix.@:8448 sni=matrix.@ accept=matrix.@ host=matrix.@:8448 must found
			federation/6 https:@:8448 sni=@ accept=@ host=@ should found default when`,
	}, {
		name: "step 3.3", spec: "3.3: SRV _matrix-fed of the delegated host, certificate for the delegated host; before 3.4",
		zone: "@ IN A {1}\nd IN A {2}\nbox IN A {3}\n_matrix-fed._tcp.d IN SRV 10 0 1234 box\n_matrix._tcp.d IN SRV 10 0 999 old\n", web: wellKnown("d.@"),
		led: `federation/3.3: https://@/.well-known/matrix/server found, SRV _matrix-fed._tcp.d.@ found, A box.@ found, AAAA box.@ absent`,
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ must found
			federation/3.3 https:box.@:1234 sni=d.@ accept=d.@ host=d.@ must found
			federation/6 https:@:8448 sni=@ accept=@ host=@ should found default when`,
	}, {
		name: "step 3.4", spec: "3.4: deprecated SRV _matrix of the delegated host if there is no _matrix-fed",
		zone: "@ IN A {1}\nd IN A {2}\nbox IN A {3}\n_matrix._tcp.d IN SRV 10 0 1234 box\n", web: wellKnown("d.@"),
		led: `federation/3.4: https://@/.well-known/matrix/server found, SRV _matrix-fed._tcp.d.@ absent, SRV _matrix._tcp.d.@ found, A box.@ found, AAAA box.@ absent`,
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ must found
			federation/3.4 https:box.@:1234 sni=d.@ accept=d.@ host=d.@ must found
			federation/6 https:@:8448 sni=@ accept=@ host=@ should found default when`,
		says: "SRV _matrix._tcp.d.@ is deprecated",
	}, {
		name: "step 3.5", spec: "3.5: no SRV: the delegated host on 8448",
		zone: "@ IN A {1}\nd IN A {2}\n", web: wellKnown("d.@"),
		led: `federation/3.5: https://@/.well-known/matrix/server found, SRV _matrix-fed._tcp.d.@ absent, SRV _matrix._tcp.d.@ absent, default of d.@, A d.@ found, AAAA d.@ absent`,
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ must found
			federation/3.5 https:d.@:8448 sni=d.@ accept=d.@ host=d.@ must found default
			federation/6 https:@:8448 sni=@ accept=@ host=@ should found default when`,
	}, {
		name: "step 4", spec: "4: no document: SRV _matrix-fed of the host, certificate for the host; before 5. All targets count",
		zone: "@ IN A {1}\nbox IN A {2}\nbox2 IN A {3}\n_matrix-fed._tcp IN SRV 20 0 8449 box2\n_matrix-fed._tcp IN SRV 10 0 8448 box\n_matrix._tcp IN SRV 10 0 999 old\n", web: empty(),
		led: `federation/4: https://@/.well-known/matrix/server absent, SRV _matrix-fed._tcp.@ found, A box.@ found, AAAA box.@ absent`,
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ info absent
			federation/4 https:box.@:8448 sni=@ accept=@ host=@ must found
			federation/4 https:box2.@:8449 sni=@ accept=@ host=@ must found`,
	}, {
		name: "step 5", spec: "5: no document and no _matrix-fed: deprecated SRV _matrix, certificate for the host: the founding set-up",
		zone: "@ IN A {1}\nmatrix IN A {2}\n_matrix._tcp IN SRV 10 5 8448 matrix\n", web: empty(),
		led: `federation/5: https://@/.well-known/matrix/server absent, SRV _matrix-fed._tcp.@ absent, SRV _matrix._tcp.@ found, A matrix.@ found, AAAA matrix.@ absent`,
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ info absent
			federation/5 https:matrix.@:8448 sni=@ accept=@ host=@ must found`,
		says: "SRV _matrix._tcp.@ is deprecated",
	}, {
		name: "step 6", spec: "6: nothing: the host on 8448",
		zone: "@ IN A {1}\n", web: empty(),
		led: `federation/6: https://@/.well-known/matrix/server absent, SRV _matrix-fed._tcp.@ absent, SRV _matrix._tcp.@ absent, default of @, A @ found, AAAA @ absent
			well-known/3: A @ found, AAAA @ absent, https://@/.well-known/matrix/server absent`,
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ info absent
			federation/6 https:@:8448 sni=@ accept=@ host=@ must found default`,
	}, {
		name: "step 6 nowhere", spec: "6, and 3: the host has no address: no document, and nothing to connect to",
		zone: "",
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ info absent
			federation/6 https:@:8448 sni=@ accept=@ host=@ must absent default`,
	}, {
		name: "srv and document", spec: "3.2 before 4: the SRV record of the host is only for when the document cannot be had",
		zone: "@ IN A {1}\nmatrix IN A {2}\n_matrix-fed._tcp IN SRV 10 0 8448 matrix\n", web: wellKnown("matrix.@:443"),
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ must found
			federation/3.2 https:matrix.@:443 sni=matrix.@ accept=matrix.@ host=matrix.@:443 must found
			federation/4 https:matrix.@:8448 sni=@ accept=@ host=@ should found when`,
	}, {
		name: "document names itself", spec: "3.3 and 4 ask the same of the same endpoint: one row, the stricter",
		zone: "@ IN A {1}\nmatrix IN A {2}\n_matrix-fed._tcp IN SRV 10 0 8448 matrix\n", web: wellKnown("@"),
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ must found
			federation/3.3 https:matrix.@:8448 sni=@ accept=@ host=@ must found`,
	},
}

// srvStories: what is unusual about SRV records.
var srvStories = []story{
	{
		name: "srv dot", spec: `RFC 2782: the target "." means that the service is decidedly not available; 5 and 6 need "not found"`,
		zone: "@ IN A {1}\n_matrix-fed._tcp IN SRV 0 0 0 .\n_matrix._tcp IN SRV 10 0 8448 box\n", web: empty(),
		led: `federation/4: https://@/.well-known/matrix/server absent, SRV _matrix-fed._tcp.@ found`,
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ info absent
			federation/4 disabled`,
	}, {
		name: "srv dot old", spec: "RFC 2782, for _matrix",
		zone: "@ IN A {1}\n_matrix._tcp IN SRV 0 0 0 .\n", web: empty(),
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ info absent
			federation/5 disabled`,
	}, {
		name: "srv fails", spec: "a failing resolver is not NXDOMAIN: neither 5 nor 6 may be concluded",
		zone: "@ IN A {1}\n_matrix._tcp IN SRV 10 0 8448 box\n", broken: "_matrix-fed._tcp", web: empty(),
		led: `federation/4: https://@/.well-known/matrix/server absent, SRV _matrix-fed._tcp.@ undetermined`,
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ info absent
			federation/4 undetermined`,
		says: "SRV _matrix-fed._tcp.@: resolver 127.0.0.1:53: answered SERVFAIL",
	}, {
		name: "srv old fails", spec: "likewise between 5 and 6",
		zone: "@ IN A {1}\n", broken: "_matrix._tcp", web: empty(),
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ info absent
			federation/5 undetermined`,
		says: "SRV _matrix._tcp.@: resolver 127.0.0.1:53: answered SERVFAIL",
	}, {
		name: "srv delegated fails", spec: "likewise between 3.3 and 3.4, and the shadow rows stay",
		zone: "@ IN A {1}\nd IN A {2}\n", broken: "_matrix-fed._tcp.d", web: wellKnown("d.@"),
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ must found
			federation/3.3 undetermined
			federation/6 https:@:8448 sni=@ accept=@ host=@ should found default when`,
		says: "SRV _matrix-fed._tcp.d.@: resolver 127.0.0.1:53: answered SERVFAIL",
	}, {
		name: "srv to alias", spec: "note below step 6 and RFC 2782: the target of an SRV record may not be a CNAME",
		zone: "@ IN A {1}\nmatrix IN CNAME box\nbox IN A {2}\n_matrix-fed._tcp IN SRV 10 0 8448 matrix\n", web: empty(),
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ info absent
			federation/4 https:matrix.@:8448 sni=@ accept=@ host=@ must found`,
		says: "which is an alias of box.@",
	}, {
		name: "srv to nowhere", spec: "RFC 2782: the target has addresses",
		zone: "@ IN A {1}\n_matrix-fed._tcp IN SRV 10 0 8448 gone\n", web: empty(),
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ info absent
			federation/4 https:gone.@:8448 sni=@ accept=@ host=@ must absent`,
		says: "!names gone.@: gone.@ does not exist (NXDOMAIN)",
	}, {
		name: "srv dot and others", spec: `RFC 2782: "." is alone`,
		zone: "@ IN A {1}\nbox IN A {2}\n_matrix-fed._tcp IN SRV 0 0 0 .\n_matrix-fed._tcp IN SRV 1 0 8448 box\n_matrix-fed._tcp IN SRV 1 0 0 box\n", web: empty(),
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ info absent
			federation/4 https:box.@:8448 sni=@ accept=@ host=@ must found`,
		says: `!has the target "." and others
			!has port 0 for box.@`,
	}, {
		name: "srv by alias", spec: "RFC 1034, 3.6.2: the SRV name itself may be an alias",
		zone: "@ IN A {1}\nbox IN A {2}\n_matrix-fed._tcp IN CNAME _m._tcp.hoster\n_m._tcp.hoster IN SRV 10 0 8448 box\n", web: empty(),
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ info absent
			federation/4 https:box.@:8448 sni=@ accept=@ host=@ must found`,
	}, {
		name: "address fails", spec: "a host whose address cannot be looked up is undetermined, not absent",
		zone: "@ IN A {1}\n_matrix-fed._tcp IN SRV 10 0 8448 box\n", broken: "box", web: empty(),
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ info absent
			federation/4 https:box.@:8448 sni=@ accept=@ host=@ must undetermined`,
	},
}

// documentStories: what makes a document invalid, so that step 4 follows, and
// what does not.
var documentStories = []story{
	documentStory("not json", "3: bad JSON: skip to step 4", `m.server=matrix`, ""),
	documentStory("no m.server", "3: missing properties", `{"m.homeserver": "x"}`, ""),
	documentStory("wrong case", "3: the property is m.server", `{"M.SERVER": "matrix.@:443"}`, ""),
	documentStory("m.server no string", "3: invalid data", `{"m.server": 8448}`, ""),
	documentStory("m.server no name", "appendices, Server Name: underscores cannot be in it", `{"m.server": "my_host:443"}`, ""),
	documentStory("m.server url", "appendices, Server Name", `{"m.server": "https://matrix.@"}`, ""),
	documentStory("m.server port 0", "appendices, Server Name", `{"m.server": "matrix.@:0"}`, ""),
	documentStory("status 500", "3: non-200 response", ``, "location = /.well-known/matrix/server { return 500; }"),
	documentStory("status 204", "3: non-200 response", ``, "location = /.well-known/matrix/server { return 204; }"),
	documentStory("redirect in circles", "3: redirection loops should be avoided", ``, "location = /.well-known/matrix/server { return 302 /a; }\nlocation = /a { return 302 /.well-known/matrix/server; }"),
	documentStory("redirects without end", "3: redirection loops should be avoided", ``, `location ~ ^/(.*)$ { return 302 /$1x; }`),
	{
		name: "type is not json", spec: "wellknown: parsers assume JSON regardless of the type",
		zone: "@ IN A {1}\nmatrix IN A {2}\n",
		web: []site9{{addr: "{1}", host: "@", files: map[string]string{"/.well-known/matrix/server": `{"m.server":"matrix.@:443"}`},
			conf: "location = /.well-known/matrix/server { default_type text/html; }"}},
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ must found
			federation/3.2 https:matrix.@:443 sni=matrix.@ accept=matrix.@ host=matrix.@:443 must found
			federation/6 https:@:8448 sni=@ accept=@ host=@ should found default when`,
	}, {
		name: "redirect elsewhere", spec: "3: 30x redirects should be followed; each host shows its certificate",
		zone: "@ IN A {1}\nwww IN A {2}\nmatrix IN A {3}\n",
		web: []site9{
			{addr: "{1}", host: "@", conf: "location /.well-known/ { return 301 https://www.@$request_uri; }"},
			{addr: "{2}", host: "www.@", files: map[string]string{"/.well-known/matrix/server": `{"m.server":"matrix.@:443"}`}},
		},
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ must found
			well-known-redirect/3 https:www.@:443 sni=www.@ accept=www.@ host=www.@ must found
			federation/3.2 https:matrix.@:443 sni=matrix.@ accept=matrix.@ host=matrix.@:443 must found
			federation/6 https:@:8448 sni=@ accept=@ host=@ should found default when`,
	}, {
		name: "redirect to a host that does not exist", spec: "a redirect counts by where it ends",
		zone: "@ IN A {1}\n",
		web: []site9{
			{addr: "{1}", host: "@", conf: "location /.well-known/ { return 301 https://www.@$request_uri; }"},
		},
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ info absent
			federation/6 https:@:8448 sni=@ accept=@ host=@ must found default`,
		says: "!https://@/.well-known/matrix/server redirects to https://www.@/.well-known/matrix/server: www.@ does not exist",
	}, {
		name: "redirect 308", spec: "3, and Synapse's docs/federate.md: 308 is not followed by all",
		zone: "@ IN A {1}\nmatrix IN A {3}\n",
		web: []site9{{addr: "{1}", host: "@", files: map[string]string{"/ws": `{"m.server":"matrix.@:443"}`},
			conf: "location = /.well-known/matrix/server { return 308 /ws; }"}},
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ must found
			federation/3.2 https:matrix.@:443 sni=matrix.@ accept=matrix.@ host=matrix.@:443 must found
			federation/6 https:@:8448 sni=@ accept=@ host=@ should found default when`,
		says: "redirects with 308",
	}, {
		name: "redirect to http", spec: "3 wants https; what peers make of plain http is up to them",
		zone: "@ IN A {1}\n",
		web:  []site9{{addr: "{1}", host: "@", conf: "location /.well-known/ { return 301 http://@/ws; }"}},
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ info undetermined
			federation/6 https:@:8448 sni=@ accept=@ host=@ must found default when`,
		says: "which is not https",
	}, {
		name: "redirect to untrusted", spec: "3: normal X.509 validation, on every host",
		zone: "@ IN A {1}\nwww IN A {2}\n",
		web: []site9{
			{addr: "{1}", host: "@", conf: "location /.well-known/ { return 301 https://www.@$request_uri; }"},
			{addr: "{2}", host: "www.@", names: []string{"other.@"}, files: map[string]string{"/.well-known/matrix/server": `{"m.server":"matrix.@:443"}`}},
		},
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ must absent
			well-known-redirect/3 https:www.@:443 sni=www.@ accept=www.@ host=www.@ must found
			federation/6 https:@:8448 sni=@ accept=@ host=@ must found default`,
		says: "!peers reject the document from www.@: its certificate is not trusted",
	}, {
		name: "untrusted redirects", spec: "3: normal X.509 validation, of the host that redirects too",
		zone: "@ IN A {1}\nwww IN A {2}\n",
		web: []site9{
			{addr: "{1}", host: "@", names: []string{"other.@"}, conf: "location /.well-known/ { return 301 https://www.@$request_uri; }"},
			{addr: "{2}", host: "www.@", files: map[string]string{"/.well-known/matrix/server": `{"m.server":"matrix.@:443"}`}},
		},
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ info absent
			federation/6 https:@:8448 sni=@ accept=@ host=@ must found default`,
	}, {
		name: "certificate expired", spec: "3: normal X.509 validation; without the document, 6",
		zone: "@ IN A {1}\nmatrix IN A {2}\n",
		web:  []site9{{addr: "{1}", host: "@", until: -time.Minute, files: map[string]string{"/.well-known/matrix/server": `{"m.server":"matrix.@:443"}`}}},
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ must absent
			federation/6 https:@:8448 sni=@ accept=@ host=@ must found default`,
		says: "!certificate has expired or is not yet valid",
	}, {
		name: "nobody listens", spec: "3: an error response: step 6",
		zone: "@ IN A {9}\n",
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ info absent
			federation/6 https:@:8448 sni=@ accept=@ host=@ must found default`,
	},
}

// documentStory: whatever is wrong, peers go on at step 4.
func documentStory(name, spec, body, conf string) story {
	st := story{
		name: name, spec: spec, zone: "@ IN A {1}\nmatrix IN A {2}\n_matrix-fed._tcp IN SRV 10 0 8448 matrix\n",
		web: []site9{{addr: "{1}", host: "@", conf: conf}},
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ info absent
			federation/4 https:matrix.@:8448 sni=@ accept=@ host=@ must found`,
	}
	if body != "" {
		st.web[0].files = map[string]string{"/.well-known/matrix/server": body}
		st.says = "is not a valid document"
	}
	return st
}

func testFederation(t *testing.T, stories []story) {
	w := newWorld(t, stories)
	tell(t, w, stories, "matrix", findFederation)
}

func TestFederation(t *testing.T)         { testFederation(t, federationStories) }
func TestFederationSRV(t *testing.T)      { testFederation(t, srvStories) }
func TestFederationDocument(t *testing.T) { testFederation(t, documentStories) }
func TestFederationSplit(t *testing.T)    { testFederation(t, splitStories) }
