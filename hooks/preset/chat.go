package preset

import "time"

// chatServers are the presets of XMPP and Matrix servers.
var chatServers = []row{
	{
		// No check: "prosodyctl check certs" also minds what has nothing to do
		// with the new pair, such as a component without a certificate, and
		// would keep every renewal back.
		name:  "prosody",
		chain: "{etc}/prosody/certs/{name}.crt", key: "{etc}/prosody/certs/{name}.key", keyMode: 0o640, scans: 3,
		group:  by[string]{"": "prosody", "openbsd": "_prosody"},
		reload: service("reload", "prosody"), reloads: 2,
		setup: []string{`certificates = "certs"    -- the default: certificates are found by the names they are for`},
		notes: []string{
			"Every *.crt and *fullchain* in the directory, three levels deep, is taken by the names it is for. Of two for the same name any may be served: leave no old ones there.",
			"After a reload, STARTTLS, direct TLS with SNI and https serve the new certificate. Direct TLS (5223, 5281) without SNI keeps the old one until a restart.",
			"When a file is new, one reload may not be enough: the directory may be looked through after the certificates are loaded. With verify, keypaird sees that and reloads again.",
			"A pair that it cannot use or cannot read ends STARTTLS at the reload; going back brings it again.",
			"If its configuration cannot be read, a reload reads no certificates either, and says nothing of it: only verify shows it.",
			"A component (conference.NAME) needs its own name on a certificate, or peers refuse it: list it in components.",
		},
	},
	{
		name:     "ejabberd",
		combined: "{etc}/ejabberd/{name}.pem", keyMode: 0o640, scans: 1,
		group: by[string]{"": "ejabberd", "openbsd": "_ejabberd"},
		reload: by[[]string]{
			"":      {"ejabberdctl", "reload_config"}, // FreeBSD's rc script restarts instead, OpenBSD's refuses
			"linux": {"systemctl", "reload", "ejabberd"},
		},
		setup: []string{"certfiles:", `  - "{etc}/ejabberd/NAME.pem"`},
		notes: []string{
			"Certificates are chosen by the names they are for. With a glob in certfiles (*.pem), an old file for the same name may be served instead of the new one.",
			"The reload reports success whatever becomes of the certificate: only verify shows it. A pair that it cannot use or cannot read ends STARTTLS; going back brings it again.",
			"A component (conference.NAME) needs its own name on a certificate, or peers refuse it: list it in components.",
			"Versions before 25.08 refuse peers whose certificate is for servers only (no clientAuth), as public CAs issue them now.",
		},
	},
	{
		// Debian's package gives /etc/matrix-synapse to the server.
		name:  "synapse",
		chain: "/etc/ssl/synapse/{name}.crt", key: "/etc/ssl/synapse/{name}.key", keyMode: 0o640, single: true,
		group: by[string]{"": "synapse", "linux": "matrix-synapse", "openbsd": "_synapse"},
		reload: by[[]string]{
			"":        {"pkill", "-HUP", "-f", "synapse.app.homeserver"},
			"linux":   {"systemctl", "reload", "matrix-synapse"},
			"openbsd": {"rcctl", "reload", "synapse"},
		},
		setup: []string{"tls_certificate_path: /etc/ssl/synapse/NAME.crt", "tls_private_key_path: /etc/ssl/synapse/NAME.key"},
		notes: []string{
			"Only where Synapse has a listener with tls: true. Behind a proxy, deploy to the proxy.",
			"Presents one certificate whatever name it is asked for: set one_certificate.",
		},
	},
	{
		name:  "dendrite",
		chain: "/etc/ssl/dendrite/{name}.crt", key: "/etc/ssl/dendrite/{name}.key", keyMode: 0o640, single: true,
		group:  by[string]{"": "dendrite", "openbsd": "_dendrite"},
		reload: service("restart", "dendrite"), patience: time.Minute,
		setup: []string{"dendrite --tls-cert /etc/ssl/dendrite/NAME.crt --tls-key /etc/ssl/dendrite/NAME.key"},
		notes: []string{
			"Cannot read a certificate again: it is restarted, which ends every connection. With verify, it has a minute to come up again.",
			"Presents one certificate whatever name it is asked for: set one_certificate.",
			"Behind a proxy, deploy to the proxy.",
		},
	},
	{
		// Its package gives /etc/tuwunel to the server at every upgrade.
		name:  "tuwunel",
		chain: "/etc/ssl/tuwunel/{name}.crt", key: "/etc/ssl/tuwunel/{name}.key", keyMode: 0o640, single: true,
		group:  by[string]{"": "tuwunel", "openbsd": "_tuwunel"},
		reload: service("restart", "tuwunel"), patience: time.Minute,
		setup: []string{"[global.tls]", `certs = "/etc/ssl/tuwunel/NAME.crt"`, `key = "/etc/ssl/tuwunel/NAME.key"`},
		notes: []string{
			"Its reload leaves TLS out: it is restarted, which ends every connection. With verify, it has a minute to come up again.",
			"Presents one certificate whatever name it is asked for: set one_certificate.",
			"Behind a proxy, deploy to the proxy.",
		},
	},
}
