package discover

import "testing"

var davStories = []story{
	{
		name: "dav srv", spec: "RFC 6764, 3 and 8: a target within the domain by its own name; TXT gives the path",
		zone: "dav IN A {1}\n_caldavs._tcp IN SRV 0 1 443 dav\n_caldavs._tcp IN TXT \"path=/dav\"\n_carddavs._tcp IN SRV 0 0 0 .\n",
		want: `CalDAV https:dav.@:443 sni=dav.@ accept=dav.@ host=dav.@ must found
			CardDAV disabled`,
	}, {
		name: "dav outside", spec: "RFC 6764, 8: a target outside the domain: SRV-ID, or the domain, for strict programs",
		zone: "_caldavs._tcp IN SRV 0 1 8443 ns.test.\n_carddavs._tcp IN SRV 0 1 8443 ns.test.\n",
		want: `CalDAV https:ns.test:8443 sni=ns.test accept=ns.test host=ns.test:8443 must found
			CalDAV https:ns.test:8443 sni=@ accept=@ host=ns.test:8443 should found when
			CardDAV https:ns.test:8443 sni=ns.test accept=ns.test host=ns.test:8443 must found
			CardDAV https:ns.test:8443 sni=@ accept=@ host=ns.test:8443 should found when`,
	}, {
		name: "dav well-known", spec: "RFC 6764, 5 and 6: without SRV, the well-known URL of the domain, which redirects",
		zone: "@ IN A {1}\ncloud IN A {2}\n", broken: "_carddavs._tcp",
		web: []site9{
			{addr: "{1}", host: "@", conf: "location = /.well-known/caldav { return 301 https://cloud.@/remote.php/dav; }"},
			{addr: "{2}", host: "cloud.@", conf: "location / { return 401; }"},
		},
		want: `CalDAV https:@:443 sni=@ accept=@ host=@ must found
			CalDAV-redirect https:cloud.@:443 sni=cloud.@ accept=cloud.@ host=cloud.@ must found
			CardDAV undetermined`,
		says: "SRV _carddavs._tcp.@: resolver 127.0.0.1:53: answered SERVFAIL",
	}, {
		name: "dav of a site that redirects", spec: "a redirect counts by where it ends",
		zone: "@ IN A {1}\nwww IN A {2}\n",
		web: []site9{
			{addr: "{1}", host: "@", conf: "location / { return 301 https://www.@/; }"},
			{addr: "{2}", host: "www.@"},
		},
		want: `CalDAV https:@:443 sni=@ accept=@ host=@ info absent
			CardDAV https:@:443 sni=@ accept=@ host=@ info absent`,
	}, {
		name: "dav of a site that redirects to no host", spec: "a redirect counts by where it ends",
		zone: "@ IN A {1}\nwww IN TXT none\n",
		web:  []site9{{addr: "{1}", host: "@", conf: "location / { return 301 https://www.@/; }"}},
		want: `CalDAV https:@:443 sni=@ accept=@ host=@ info absent
			CardDAV https:@:443 sni=@ accept=@ host=@ info absent`,
		says: "!https://@/.well-known/caldav redirects to https://www.@/: www.@ has no address\n!https://@/.well-known/carddav redirects to https://www.@/: www.@ has no address",
	}, {
		name: "dav of a site with a password", spec: "any path asks for it",
		zone: "@ IN A {1}\n",
		web:  []site9{{addr: "{1}", host: "@", conf: "location / { return 401; }"}},
		want: `CalDAV https:@:443 sni=@ accept=@ host=@ info absent
			CardDAV https:@:443 sni=@ accept=@ host=@ info absent`,
	}, {
		name: "dav with a start page", spec: "only the path of the calendar leads there",
		zone: "@ IN A {1}\n",
		web:  []site9{{addr: "{1}", host: "@", conf: "location = /.well-known/caldav { return 301 /radicale/; }\nlocation = /radicale/ { return 200 hello; }\nlocation = /.well-known/carddav { return 301 /gone; }"}},
		want: `CalDAV https:@:443 sni=@ accept=@ host=@ must found
			CardDAV https:@:443 sni=@ accept=@ host=@ info absent`,
	}, {
		name: "dav none", spec: "RFC 6764, 6: nothing there",
		zone: "@ IN A {1}\n", web: empty(),
		want: `CalDAV https:@:443 sni=@ accept=@ host=@ info absent
			CardDAV https:@:443 sni=@ accept=@ host=@ info absent`,
	}, {
		name: "dav here", spec: "RFC 6764, 5: it may be there itself, behind a password",
		zone: "@ IN A {1}\n",
		web:  []site9{{addr: "{1}", host: "@", conf: "location = /.well-known/caldav { return 401; }\nlocation = /.well-known/carddav { return 200 hello; }"}},
		want: `CalDAV https:@:443 sni=@ accept=@ host=@ must found
			CardDAV https:@:443 sni=@ accept=@ host=@ info absent`,
	},
}

func TestDAV(t *testing.T) {
	w := newWorld(t, davStories)
	tell(t, w, davStories, "caldav", findDAV)
}

// RFC 4592: a name that only a wildcard has was not published for a service.
func TestWildcardHosts(t *testing.T) {
	stories := []story{{
		name: "wild web", spec: "www has an address of its own where it differs",
		zone: "@ IN A {1}\n* IN CNAME @\n",
		want: `web https:@:443 sni=@ accept=@ host=@ must found
			web absent`,
	}, {
		name: "wild web besides www", spec: "here it does",
		zone: "@ IN A {1}\n* IN A {1}\nwww IN A {2}\n",
		want: `web https:@:443 sni=@ accept=@ host=@ must found
			web https:www.@:443 sni=www.@ accept=www.@ host=www.@ must found`,
	}}
	tell(t, newWorld(t, stories), stories, "web", findWeb)
}

var sipStories = []story{
	{
		name: "sip srv", spec: "RFC 3263, 4.1: no NAPTR: SRV _sips._tcp; RFC 5922, 7.1 and 7.2: the domain, no wildcard",
		zone: "@ IN A {1}\nbox IN A {2}\n_sips._tcp IN SRV 0 0 5061 box\n",
		want: `sips tls:box.@:5061 sni=@ accept=@ must found no-wildcard`,
	}, {
		name: "sip wildcard", spec: "RFC 4592: any service has the records of a wildcard",
		zone: "@ IN A {1}\n*._tcp IN SRV 0 0 443 @\n",
		want: `sips tls:@:5061 sni=@ accept=@ must found default no-wildcard`,
	}, {
		name: "sip naptr", spec: "RFC 3263, 4.1: NAPTR SIPS+D2T names the SRV record",
		zone: "@ IN A {1}\nbox IN A {2}\n@ IN NAPTR 10 50 \"s\" \"SIPS+D2T\" \"\" _sips._tcp.hoster\n@ IN NAPTR 20 50 \"s\" \"SIP+D2U\" \"\" _sip._udp.hoster\n" +
			"_sips._tcp.hoster IN SRV 0 0 5071 box\n_sips._tcp IN SRV 0 0 5061 wrong\n",
		want: `sips tls:box.@:5071 sni=@ accept=@ must found no-wildcard`,
	}, {
		name: "sip no tls", spec: "RFC 3263, 4.1: the services are listed, and none is over TLS",
		zone: "@ IN A {1}\n@ IN NAPTR 20 50 \"s\" \"SIP+D2U\" \"\" _sip._udp\n",
		want: `sips absent`,
	}, {
		name: "sip default", spec: "RFC 3263, 4.2: no SRV: the domain, port 5061; NAPTR of other services do not count",
		zone: "@ IN A {1}\n@ IN NAPTR 20 50 \"u\" \"E2U+email\" \"!^.*$!mailto:a@example.org!\" .\n",
		want: `sips tls:@:5061 sni=@ accept=@ must found default no-wildcard`,
	}, {
		name: "sip off", spec: "RFC 2782",
		zone: "@ IN A {1}\n_sips._tcp IN SRV 0 0 0 .\n",
		want: `sips disabled`,
	},
}

func TestSIP(t *testing.T) {
	w := newWorld(t, sipStories)
	tell(t, w, sipStories, "sip", findSIP)
}

var webStories = []story{
	{
		name: "web with www", spec: "RFC 9110, 4.3.4: the host of the URL",
		zone: "@ IN A {1}\nwww IN CNAME @\n",
		want: `web https:@:443 sni=@ accept=@ host=@ must found
			web https:www.@:443 sni=www.@ accept=www.@ host=www.@ must found`,
	}, {
		name: "web fails", spec: "a failing look-up is no answer; no address is one",
		zone: "", broken: "www",
		want: `web absent
			web undetermined`,
	},
}

func TestWeb(t *testing.T) {
	w := newWorld(t, webStories)
	tell(t, w, webStories, "web", findWeb)
}
