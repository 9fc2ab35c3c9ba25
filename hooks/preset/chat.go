package preset

import "time"

// chatServers are the presets of XMPP and Matrix servers.
var chatServers = []row{
	{
		// No check: "prosodyctl check certs" also fails for reasons unrelated to
		// the new pair, such as a component without a certificate, and would
		// block every renewal.
		name:   "prosody",
		verify: []string{"xmpp-client:127.0.0.1:5222", "xmpp-server:127.0.0.1:5269"},
		chain:  "{etc}/prosody/certs/{name}.crt", key: "{etc}/prosody/certs/{name}.key", keyMode: 0o640, scans: 3,
		group:  bySystem[string]{"": "prosody", "openbsd": "_prosody"},
		reload: service("reload", "prosody"), reloads: 2,
		finds: `certificates = "certs"`,
		setup: []string{`certificates = "certs"    -- the default: certificates are found by the names they are for`},
		notes: []string{
			"Every *.crt and *fullchain* in the directory, three levels deep, is used for the names it contains. Of several for the same name any may be served: leave no old ones there.",
			"After a reload, STARTTLS, direct TLS with SNI and https serve the new certificate. Direct TLS (5223, 5281) without SNI keeps the old one until a restart.",
			"When a file is new, one reload may not be enough: the directory may be scanned after the certificates are loaded. With verify, keypaird notices and reloads again.",
			"A pair that it cannot use or read ends STARTTLS at the reload; the rollback restores it.",
			"If its configuration cannot be read, a reload reads no certificates either and reports no error: only verify shows it.",
			"A component (conference.NAME) needs its own name on a certificate, or peers refuse it: list it in components.",
		},
	},
	{
		name:     "ejabberd",
		verify:   []string{"xmpp-client:127.0.0.1:5222", "xmpp-server:127.0.0.1:5269"},
		combined: "{etc}/ejabberd/{name}.pem", keyMode: 0o640, scans: 1,
		group: bySystem[string]{"": "ejabberd", "openbsd": "_ejabberd"},
		reload: bySystem[[]string]{
			"":      {"ejabberdctl", "reload_config"}, // FreeBSD's rc script restarts instead, OpenBSD's refuses
			"linux": {"systemctl", "reload", "ejabberd"},
		},
		setup: []string{"certfiles:", `  - "{etc}/ejabberd/NAME.pem"`},
		notes: []string{
			"Certificates are chosen by the names they are for. With a glob in certfiles (*.pem), an old file for the same name may be served instead of the new one.",
			"The reload reports success even if the certificate is not loaded: only verify shows it. A pair that it cannot use or read ends STARTTLS; the rollback restores it.",
			"A component (conference.NAME) needs its own name on a certificate, or peers refuse it: list it in components.",
			"Versions before 25.08 refuse peers with a certificate for servers only (no clientAuth), as public CAs issue them now.",
		},
	},
	{
		// In Debian's package the server owns /etc/matrix-synapse.
		name:   "synapse",
		verify: []string{"127.0.0.1:8448"},
		chain:  "/etc/ssl/synapse/{name}.crt", key: "/etc/ssl/synapse/{name}.key", keyMode: 0o640, single: true,
		group: bySystem[string]{"": "synapse", "linux": "matrix-synapse", "openbsd": "_synapse"},
		reload: bySystem[[]string]{
			"":        {"pkill", "-HUP", "-f", "synapse.app.homeserver"},
			"linux":   {"systemctl", "reload", "matrix-synapse"},
			"openbsd": {"rcctl", "reload", "synapse"},
		},
		setup: []string{"tls_certificate_path: /etc/ssl/synapse/NAME.crt", "tls_private_key_path: /etc/ssl/synapse/NAME.key"},
		notes: []string{
			"Only where Synapse has a listener with tls: true. Behind a proxy, deploy to the proxy.",
			"Presents one certificate for all names: set one_certificate.",
		},
	},
	{
		name:   "dendrite",
		verify: []string{"127.0.0.1:8448"},
		chain:  "/etc/ssl/dendrite/{name}.crt", key: "/etc/ssl/dendrite/{name}.key", keyMode: 0o640, single: true,
		group:  bySystem[string]{"": "dendrite", "openbsd": "_dendrite"},
		reload: service("restart", "dendrite"), patience: time.Minute,
		setup: []string{"dendrite --tls-cert /etc/ssl/dendrite/NAME.crt --tls-key /etc/ssl/dendrite/NAME.key"},
		notes: []string{
			"Cannot read a certificate again: it is restarted, which ends every connection. With verify, it has a minute to come up again.",
			"Presents one certificate for all names: set one_certificate.",
			"Behind a proxy, deploy to the proxy.",
		},
	},
	{
		// Its package makes the server own /etc/tuwunel at every upgrade.
		name:   "tuwunel",
		verify: []string{"127.0.0.1:8448"},
		chain:  "/etc/ssl/tuwunel/{name}.crt", key: "/etc/ssl/tuwunel/{name}.key", keyMode: 0o640, single: true,
		group:  bySystem[string]{"": "tuwunel", "openbsd": "_tuwunel"},
		reload: service("restart", "tuwunel"), patience: time.Minute,
		setup: []string{"[global.tls]", `certs = "/etc/ssl/tuwunel/NAME.crt"`, `key = "/etc/ssl/tuwunel/NAME.key"`},
		notes: []string{
			"Its reload leaves TLS out: it is restarted, which ends every connection. With verify, it has a minute to come up again.",
			"Presents one certificate for all names: set one_certificate.",
			"Behind a proxy, deploy to the proxy.",
		},
	},
}
