package preset

// webServers are the presets of servers that speak HTTP before all, and of
// proxies.
var webServers = []row{
	{
		// relayd finds files by name and opens them as root. Regular files,
		// not links into the store: links have been reported not to work.
		name:   "relayd",
		verify: []string{"127.0.0.1:443"}, process: bySystem[string]{"": "relayd"},
		chain: "/etc/ssl/{name}.crt", key: "/etc/ssl/private/{name}.key", keyMode: 0o600,
		check:   always("relayd", "-n"),
		reload:  service("reload", "relayd"),
		restart: service("restart", "relayd"),
		setup:   []string{`tls keypair "NAME"    # in a protocol, one line a target`},
		notes: []string{
			"Without SNI, or with an unknown name, the first keypair of the protocol is served.",
			"A reload ends every session, and one that fails leaves no relays at all: if it does, the previous pair is put back and relayd is restarted.",
			"A file NAME:PORT.crt beside NAME.crt is preferred to it on that port.",
			"The check opens the files but does not compare key and certificate; keypaird does, before it writes them.",
		},
	},
	{
		name:   "httpd",
		verify: []string{"127.0.0.1:443"}, process: bySystem[string]{"": "httpd"},
		chain: "/etc/ssl/{name}.crt", key: "/etc/ssl/private/{name}.key", keyMode: 0o600,
		check:   always("httpd", "-n"),
		reload:  service("reload", "httpd"),
		restart: service("restart", "httpd"),
		setup: []string{
			`tls certificate "/etc/ssl/NAME.crt"            # in the server block of that name`,
			`tls key         "/etc/ssl/private/NAME.key"`,
		},
		notes: []string{
			"This is httpd(8) of OpenBSD. For Apache, which some systems call httpd too, use the preset apache.",
			"One server block a name, each with its own certificate and key; without SNI the first is served.",
			"The files are opened by the parent as root, outside the chroot.",
		},
	},
	{
		// The master process reads the store as root, so there is nothing to
		// write. It is its own messenger on every system.
		name:   "nginx",
		verify: []string{"127.0.0.1:443"}, process: bySystem[string]{"": "nginx"}, root: true,
		effective: nginxEffective,
		check:     always("nginx", "-t"),
		reload:    always("nginx", "-s", "reload"),
		setup: []string{
			"ssl_certificate     STATE/certs/NAME/live/fullchain.pem;    # in the server block of that name, with listen 443 ssl;",
			"ssl_certificate_key STATE/certs/NAME/live/privkey.pem;",
		},
		notes: []string{
			"Reads the store as root: nothing is written, and switching to a new version is one rename.",
			"Without SNI, or with an unknown name, the first server block that listens there is served.",
			"A failure after the reload was requested, such as a port in use, keeps the old workers: only verify shows it.",
			"A path with a variable ($ssl_server_name.crt) is read by a worker at every handshake, which has no access to the store.",
		},
	},
	{
		name:   "haproxy",
		verify: []string{"127.0.0.1:443"}, process: bySystem[string]{"": "haproxy"},
		effective: haproxyEffective,
		combined:  "/etc/haproxy/certs/{name}.pem", keyMode: 0o600, scans: 1,
		check: bySystem[[]string]{
			"":        {"haproxy", "-c", "-f", "{etc}/haproxy/haproxy.cfg"},
			"freebsd": {"haproxy", "-c", "-f", "{etc}/haproxy.conf"},
			"netbsd":  {"haproxy", "-c", "-f", "{etc}/haproxy.cfg"},
			"darwin":  {"haproxy", "-c", "-f", "/etc/haproxy/haproxy.cfg"},
		},
		reload: service("reload", "haproxy"), reloads: 2,
		setup: []string{"bind :443 ssl crt /etc/haproxy/certs/    # the whole directory"},
		notes: []string{
			"Every file in the directory is loaded but those with a leading dot: one that holds no certificate keeps haproxy from starting, and an old pair for the same name may be served instead.",
			"Without SNI the first file by name is served; strict-sni refuses instead.",
			"A pair that it cannot load keeps the old worker. The reload of Debian's unit checks first and fails; with a bare SIGUSR2, only verify shows it.",
			"A reload that is requested while the last one still starts is lost. With verify, keypaird notices and reloads again.",
			"With socket (level admin), pairs are exchanged without a reload; a name that is new needs a reload all the same.",
		},
	},
	{
		name:   "apache",
		verify: []string{"127.0.0.1:443"}, process: bySystem[string]{"": "httpd", "linux": "apache2"}, root: true,
		effective: apacheEffective,
		check:     bySystem[[]string]{"": {"apachectl", "configtest"}, "openbsd": {"apachectl2", "configtest"}},
		reload: override(service("reload", "apache2"), bySystem[[]string]{
			"openbsd": {"apachectl2", "graceful"}, // its rc script has no reload
			"freebsd": {"service", "apache24", "reload"},
			"netbsd":  {"service", "apache", "reload"},
		}),
		restart: override(service("restart", "apache2"), bySystem[[]string]{
			"freebsd": {"service", "apache24", "restart"},
			"netbsd":  {"service", "apache", "restart"},
		}),
		setup: []string{
			"# in the virtual host of that name",
			"SSLCertificateFile    STATE/certs/NAME/live/fullchain.pem",
			"SSLCertificateKeyFile STATE/certs/NAME/live/privkey.pem",
		},
		notes: []string{
			"Reads the store as root: nothing is written, and switching to a new version is one rename.",
			"A pair that it cannot use ends the whole server at the reload (AH02565, AH02562), and configtest does not report it. keypaird compares key and certificate before; if Apache still ends, the previous pair is restored and Apache is restarted.",
			"A virtual host with a broken pair that keypaird does not manage ends it in the same way.",
			"Without SNI, or with an unknown name, the first virtual host is served.",
			`Where the service is called httpd (Fedora, RHEL): reload = ["systemctl", "reload", "httpd"].`,
		},
	},
	{
		// No check: validate, run as root, opens the log files that the
		// configuration names, and those it creates are root's from then on.
		// A reload is a transaction anyway.
		name:   "caddy",
		verify: []string{"127.0.0.1:443"}, process: bySystem[string]{"": "caddy"},
		effective: caddyEffective,
		chain:     "{etc}/caddy/{name}.crt", key: "{etc}/caddy/{name}.key", keyMode: 0o640,
		group: bySystem[string]{"": "caddy", "openbsd": "_caddy", "freebsd": "www"},
		reload: bySystem[[]string]{
			"":        {"caddy", "reload", "--config", "{etc}/caddy/Caddyfile", "--force"},
			"linux":   {"systemctl", "reload", "caddy"},
			"openbsd": {"rcctl", "reload", "caddy"},
		},
		setup: []string{"tls {etc}/caddy/NAME.crt {etc}/caddy/NAME.key    # in the site of that name"},
		notes: []string{
			"The reload needs --force, as in the units of Debian and of Caddy itself: without it, an unchanged configuration is not loaded again, and the old certificate stays.",
			"A reload that fails changes nothing. Under systemd, its journal says why.",
			"Without SNI, or with an unknown name, the handshake fails unless default_sni is set.",
			"There is no check on purpose: caddy validate, run as root, creates the log files of the configuration as root's, and Caddy can then not write them.",
		},
	},
	{
		name:   "lighttpd",
		verify: []string{"127.0.0.1:443"}, process: bySystem[string]{"": "lighttpd"},
		chain: "/etc/ssl/lighttpd/{name}.crt", key: "/etc/ssl/lighttpd/{name}.key", keyMode: 0o640,
		group: bySystem[string]{"": "www", "linux": "www-data", "openbsd": "_lighttpd", "netbsd": "lighttpd"},
		check: bySystem[[]string]{
			"":        {"lighttpd", "-tt", "-f", "{etc}/lighttpd/lighttpd.conf"},
			"openbsd": {"lighttpd", "-tt", "-f", "/etc/lighttpd.conf"},
		},
		reload:  override(service("restart", "lighttpd"), bySystem[[]string]{"linux": {"systemctl", "reload", "lighttpd"}}),
		restart: service("restart", "lighttpd"),
		setup: []string{
			`# with mod_openssl, in the block of the socket, or of that name: $HTTP["host"] == "NAME"`,
			`ssl.pemfile = "/etc/ssl/lighttpd/NAME.crt"`,
			`ssl.privkey = "/etc/ssl/lighttpd/NAME.key"`,
		},
		notes: []string{
			"It reads the files as root when it starts, and as its own user at a reload: the key belongs to its group. One that it cannot read ends it then, and systemd starts it anew.",
			"The check finds a pair that does not match. Where the reload ends it nevertheless, the previous pair is restored and it is restarted.",
			"A reload in the moment of its start ends it, too.",
			"Without SNI, or with an unknown name, the pair of the socket is served.",
		},
	},
	{
		// Its parent reads the files as root.
		name:   "hitch",
		verify: []string{"127.0.0.1:443"}, process: bySystem[string]{"": "hitch"},
		combined: "/etc/ssl/hitch/{name}.pem", keyMode: 0o600,
		check:  always("hitch", "--test", "--config", "{etc}/hitch/hitch.conf"),
		reload: override(service("reload", "hitch"), bySystem[[]string]{"openbsd": {"pkill", "-HUP", "-o", "-x", "hitch"}}),
		setup:  []string{`pem-file = "/etc/ssl/hitch/NAME.pem"    # one line a target`},
		notes: []string{
			"Without SNI, or with an unknown name, the last pem-file is served.",
			"The check finds a pair that does not match. One that it cannot use keeps the old pair, and so does a mistake in its configuration: its log says so, and verify shows it.",
		},
	},
}
