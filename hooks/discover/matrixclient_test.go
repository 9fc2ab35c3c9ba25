package discover

import (
	"strings"
	"testing"
	"time"
)

const cors = `add_header Access-Control-Allow-Origin *;`

// clientDoc is a site at {1} with a client document.
func clientDoc(body, conf string) []site9 {
	return []site9{{addr: "{1}", host: "@", conf: conf, files: map[string]string{"/.well-known/matrix/client": body}}}
}

const clientFailed = `client-well-known https:@:443 sni=@ accept=@ host=@ info absent`

// The numbers are of the flow under "Well-known URIs" in the Matrix
// client-server API.
var clientStories = []story{
	{
		name: "client found", spec: "3.4 and 3.5: base_url is where clients go, with or without the last slash",
		zone: "@ IN A {1}\nmatrix IN A {2}\n", web: clientDoc(`{"m.homeserver": {"base_url": "https://matrix.@/"}}`, cors),
		want: `client-well-known https:@:443 sni=@ accept=@ host=@ must found
			client https:matrix.@:443 sni=matrix.@ accept=matrix.@ host=matrix.@ must found`,
	}, {
		name: "client everything", spec: "3.6: the identity server too; org.matrix.msc4143.rtc_foci is of MSC4143",
		zone: "@ IN A {1}\nmatrix IN A {2}\nid IN A {3}\nrtc IN A {4}\n",
		web: clientDoc(`{"m.homeserver": {"base_url": "https://matrix.@:8443"}, "m.identity_server": {"base_url": "https://id.@"},
			"org.matrix.msc4143.rtc_foci": [{"type": "livekit", "livekit_service_url": "https://rtc.@/livekit"}, {"type": "x"}], "x": 1}`, cors),
		want: `client-well-known https:@:443 sni=@ accept=@ host=@ must found
			client https:matrix.@:8443 sni=matrix.@ accept=matrix.@ host=matrix.@:8443 must found
			identity-server https:id.@:443 sni=id.@ accept=id.@ host=id.@ should found
			rtc-focus https:rtc.@:443 sni=rtc.@ accept=rtc.@ host=rtc.@ should found`,
	}, {
		name: "client 404", spec: "3.1: 404: IGNORE: the user types the URL; no error",
		zone: "@ IN A {1}\n", web: empty(), want: clientFailed,
	}, {
		name: "client 500", spec: "3.2: not 200: FAIL_PROMPT",
		zone: "@ IN A {1}\n", web: clientDoc("x", "location = /.well-known/matrix/client { return 500; }"),
		want: clientFailed, says: "!clients stop with an error: answers 500",
	}, {
		name: "client empty", spec: "3.2: an empty body: FAIL_PROMPT",
		zone: "@ IN A {1}\n", web: clientDoc("", cors),
		want: clientFailed, says: "!clients stop with an error: not a JSON object",
	}, {
		name: "client no json", spec: "3.3.1: FAIL_PROMPT",
		zone: "@ IN A {1}\n", web: clientDoc("hello", cors),
		want: clientFailed, says: "!clients stop with an error: not a JSON object",
	}, {
		name: "client page", spec: "a site that answers a page to any path has no document",
		zone: "@ IN A {1}\n", web: clientDoc("<!DOCTYPE html><html>", cors), want: clientFailed,
	}, {
		name: "client long page", spec: "it may be long",
		zone: "@ IN A {1}\n", web: clientDoc("\n<html>"+strings.Repeat("hello ", 20000), cors), want: clientFailed,
	}, {
		name: "client page of a homeserver", spec: "3.3.1: FAIL_PROMPT, where there is a homeserver",
		zone: "@ IN A {1}\n_matrix-fed._tcp IN SRV 0 0 8448 @\n", web: clientDoc("<!DOCTYPE html><html>", cors), want: clientFailed,
		says: "clients stop with an error: a page",
	}, {
		name: "client no base url", spec: "3.4.1: FAIL_PROMPT",
		zone: "@ IN A {1}\n", web: clientDoc(`{"m.homeserver": {"url": "https://matrix.@"}}`, cors),
		want: clientFailed, says: `!no "m.homeserver" with a "base_url"`,
	}, {
		name: "client bad url", spec: "3.5.1: FAIL_ERROR",
		zone: "@ IN A {1}\n", web: clientDoc(`{"m.homeserver": {"base_url": "matrix.@"}}`, cors),
		want: clientFailed, says: `!is not a URL`,
	}, {
		name: "client http", spec: "without TLS there is no certificate to speak of",
		zone: "@ IN A {1}\n", web: clientDoc(`{"m.homeserver": {"base_url": "http://matrix.@"}}`, cors),
		want: clientFailed, says: `!is not an https URL`,
	}, {
		name: "client identity without", spec: "3.6: m.identity_server without base_url: FAIL_PROMPT",
		zone: "@ IN A {1}\n", web: clientDoc(`{"m.homeserver": {"base_url": "https://matrix.@"}, "m.identity_server": {}}`, cors),
		want: clientFailed, says: `!"m.identity_server" has no "base_url"`,
	}, {
		name: "client no cors", spec: "Well-known URIs, note: servers SHOULD offer CORS headers",
		zone: "@ IN A {1}\nmatrix IN A {2}\n", web: clientDoc(`{"m.homeserver": {"base_url": "https://matrix.@"}}`, ""),
		want: `client-well-known https:@:443 sni=@ accept=@ host=@ must found
			client https:matrix.@:443 sni=matrix.@ accept=matrix.@ host=matrix.@ must found`,
		says: "has no CORS headers",
	}, {
		name: "client redirect", spec: "3, since v1.20: 30x redirects SHOULD be followed, each with CORS headers",
		zone: "@ IN A {1}\nwww IN A {2}\nmatrix IN A {3}\n",
		web: []site9{
			{addr: "{1}", host: "@", conf: "location /.well-known/ { return 302 https://www.@$request_uri; }"},
			{addr: "{2}", host: "www.@", conf: cors, files: map[string]string{"/.well-known/matrix/client": `{"m.homeserver": {"base_url": "https://matrix.@"}}`}},
		},
		want: `client-well-known https:@:443 sni=@ accept=@ host=@ must found
			client-well-known-redirect https:www.@:443 sni=www.@ accept=www.@ host=www.@ must found
			client https:matrix.@:443 sni=matrix.@ accept=matrix.@ host=matrix.@ must found`,
		says: `redirects: clients follow that only since Matrix 1.20
			https://@/.well-known/matrix/client has no CORS headers`,
	}, {
		name: "client untrusted", spec: "normal X.509 certificate validation",
		zone: "@ IN A {1}\n",
		web: []site9{{addr: "{1}", host: "@", until: -time.Minute, conf: cors,
			files: map[string]string{"/.well-known/matrix/client": `{"m.homeserver": {"base_url": "https://matrix.@"}}`}}},
		want: `client-well-known https:@:443 sni=@ accept=@ host=@ must absent`,
		says: "!peers reject the document from {1}",
	}, {
		name: "client split", spec: "3: one request, to any address",
		zone: "@ IN A {1}\n@ IN A {2}\nmatrix IN A {3}\n",
		web:  append(clientDoc(`{"m.homeserver": {"base_url": "https://matrix.@"}}`, cors), site9{addr: "{2}", host: "@"}),
		want: `client-well-known https:@:443 sni=@ accept=@ host=@ must found
			client https:matrix.@:443 sni=matrix.@ accept=matrix.@ host=matrix.@ must found`,
		says: "!the addresses",
	},
}

func TestMatrixClient(t *testing.T) {
	w := newWorld(t, clientStories)
	tell(t, w, clientStories, "matrix", findMatrixClient)
}
