package preset

// voiceServers are the presets of servers for calls.
var voiceServers = []row{
	{
		name:   "coturn",
		verify: []string{"127.0.0.1:5349"},
		chain:  "/etc/ssl/coturn/{name}.crt", key: "/etc/ssl/coturn/{name}.key", keyMode: 0o640, single: true,
		group: bySystem[string]{"": "turnserver", "openbsd": "_turnserver"},
		reload: bySystem[[]string]{
			"":      {"pkill", "-USR2", "-x", "turnserver"},
			"linux": {"systemctl", "kill", "-s", "USR2", "coturn"},
		},
		setup: []string{"cert=/etc/ssl/coturn/NAME.crt", "pkey=/etc/ssl/coturn/NAME.key"},
		notes: []string{
			"SIGUSR2 makes it read the certificate again; SIGHUP ends it, and its unit has no reload.",
			"Presents one certificate for all names: set one_certificate.",
			"A pair that it cannot use or cannot read is reported in its log only, and the old one is kept: only verify shows it.",
			"Nothing else is read again: a mistake in turnserver.conf shows when it starts.",
		},
	},
	{
		name:   "mumble",
		verify: []string{"127.0.0.1:64738"},
		chain:  "/etc/ssl/mumble/{name}.crt", key: "/etc/ssl/mumble/{name}.key", keyMode: 0o640, single: true,
		group: bySystem[string]{"": "murmur", "linux": "mumble-server", "openbsd": "_murmurd"},
		reload: bySystem[[]string]{
			"":        {"pkill", "-USR1", "-x", "murmurd"},
			"linux":   {"systemctl", "kill", "-s", "USR1", "mumble-server"},
			"openbsd": {"rcctl", "reload", "murmurd"},
			"freebsd": {"service", "murmur", "reload"},
		},
		setup: []string{"sslCert=/etc/ssl/mumble/NAME.crt", "sslKey=/etc/ssl/mumble/NAME.key", "; with verify, see below", "autobanAttempts=0"},
		notes: []string{
			"SIGUSR1 makes it read the certificate again. Started as root, it can read a key of root's at its start but not at the reload: the key belongs to its group.",
			"Presents one certificate for all names: set one_certificate.",
			"It bans an address that connects ten times in two minutes and does not log in (autobanAttempts). verify connects once for each name, and more often while a pair is not served: leave verify out, or the ban.",
			"A pair that does not match or cannot be read is reported in its log only, and the old one is kept; a key that OpenSSL refuses ends TLS. Only verify shows it.",
			"Nothing else is read again: a mistake in its configuration shows when it starts.",
			`From Debian 13 on its group is called _mumble-server: set group = "_mumble-server".`,
		},
	},
}
