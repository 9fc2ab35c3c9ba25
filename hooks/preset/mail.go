package preset

// reloadPostfix makes Postfix read pairs again. A map of names for SNI holds
// the contents of the files, so each that is an indexed file is made anew.
const reloadPostfix = `for map in $(postconf -hx tls_server_sni_maps | tr , ' '); do
	case $map in
	btree:*|cdb:*|dbm:*|hash:*|lmdb:*|sdbm:*) postmap -F "$map" || exit ;;
	esac
done
postfix reload || { echo "postfix reload: see the mail log" >&2; exit 1; }`

// mailServers are the presets of mail servers.
var mailServers = []row{
	{
		name:   "postfix",
		verify: []string{"smtp:127.0.0.1:25"}, root: true, effective: postfixEffective,
		check:  always("postconf", "-M"), // "postfix check" writes to the mail log only
		reload: always("sh", "-c", reloadPostfix),
		setup: []string{
			"# instead of smtpd_tls_cert_file and smtpd_tls_key_file; the key comes first in it",
			"smtpd_tls_chain_files = STATE/certs/NAME/live/combined.pem",
			"# for more names, a file of lines: NAME STATE/certs/NAME/live/combined.pem",
			"tls_server_sni_maps = hash:{etc}/postfix/sni",
		},
		notes: []string{
			"Reads the store as root: nothing is written, and switching to a new version is one rename.",
			"A map for SNI embeds the files, keys and all: keep its source mode 0600, the mode of the map itself. The reload makes the maps that tls_server_sni_maps names anew (postmap -F) and then reloads Postfix.",
			"A pair that it cannot use ends STARTTLS, and no check of Postfix's says anything of it: only verify shows it.",
			"While main.cf cannot be read, no new smtpd starts, and for a minute after that Postfix may not try again: a deployment at that time is rolled back and repeated later.",
			"A service that has smtpd_tls_chain_files of its own (-o in master.cf) is reloaded just so.",
		},
	},
	{
		name:   "dovecot",
		verify: []string{"imap:127.0.0.1:143"}, root: true, effective: dovecotEffective,
		check:  always("doveconf", "-h", "base_dir"), // reads everything, and shows nothing but that
		reload: always("doveadm", "reload"),
		setup: []string{
			"# for more names, the same lines in a block: local_name NAME {",
			"# 2.4 calls them ssl_server_cert_file and ssl_server_key_file, and wants no <",
			"ssl_cert = <STATE/certs/NAME/live/fullchain.pem",
			"ssl_key = <STATE/certs/NAME/live/privkey.pem",
		},
		notes: []string{
			"Reads the store as root: nothing is written, and switching to a new version is one rename.",
			"A pair that it cannot use, if it is the default one, ends TLS for every name, and doveconf says nothing of it: only verify shows it.",
		},
	},
	{
		// No check: "exim -bV" reads what Debian's reload makes of the configuration,
		// and that reload tests it first.
		name:   "exim",
		verify: []string{"smtp:127.0.0.1:25"},
		chain:  "/etc/ssl/exim/{name}.crt", key: "/etc/ssl/exim/{name}.key", keyMode: 0o640,
		group:  bySystem[string]{"": "mail", "linux": "Debian-exim", "openbsd": "_exim"},
		reload: override(service("reload", "exim"), bySystem[[]string]{"linux": {"systemctl", "reload", "exim4"}}),
		setup: []string{
			"# on Debian, in exim4.conf.localmacros, or conf.d/main/000_local if it is split:",
			"#   MAIN_TLS_ENABLE = true, and MAIN_TLS_CERTIFICATE and MAIN_TLS_PRIVATEKEY instead",
			"# for more names, the file of the one that is requested, if there is one:",
			"#   ${lookup{$tls_in_sni.crt}dsearch,ret=full{/etc/ssl/exim}{$value}{/etc/ssl/exim/NAME.crt}}",
			"#   and likewise with .key",
			"tls_certificate = /etc/ssl/exim/NAME.crt",
			"tls_privatekey = /etc/ssl/exim/NAME.key",
		},
		notes: []string{
			"It reads the files as its own user: the key belongs to its group.",
			"A pair that it cannot use or read ends STARTTLS, and the reload says nothing of it: only verify shows it. The rollback restores it.",
			"Debian's reload fails if the configuration is wrong, and Exim goes on with the one it has.",
			`Where group and service are called exim (Fedora, RHEL): group = "exim", reload = ["systemctl", "reload", "exim"].`,
		},
	},
	{
		// Its parent reads the files as root.
		name:   "opensmtpd",
		verify: []string{"smtp:127.0.0.1:25"},
		chain:  "/etc/ssl/opensmtpd/{name}.crt", key: "/etc/ssl/opensmtpd/{name}.key", keyMode: 0o600,
		check:  always("smtpd", "-n"),
		reload: override(service("restart", "smtpd"), bySystem[[]string]{"linux": {"systemctl", "restart", "opensmtpd"}}),
		setup: []string{
			`pki NAME cert "/etc/ssl/opensmtpd/NAME.crt"`,
			`pki NAME key "/etc/ssl/opensmtpd/NAME.key"`,
			"# and, where it listens for others: tls pki NAME",
		},
		notes: []string{
			"Cannot read a certificate again, and SIGHUP ends it: it is restarted, which ends every connection.",
			"The check reads the files but does not compare key and certificate. A pair that does not match ends STARTTLS: only verify shows it, and the rollback restores it.",
			"OpenSMTPD 6.8 of Debian 12 failed every TLS handshake when it was tried, with any pair (\"EVP lib\" in its log).",
			"The pki of a name is served to those who request it; without SNI, or with an unknown name, the one of the listener.",
		},
	},
}
