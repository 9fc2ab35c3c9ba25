package hooks

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
		check:  always("postconf", "-M"), // "postfix check" tells the mail log only
		reload: always("sh", "-c", reloadPostfix),
		setup: []string{
			"smtpd_tls_chain_files = STATE/certs/NAME/live/combined.pem    # the key comes first in it",
			"tls_server_sni_maps = hash:{etc}/postfix/sni                  # for more names: lines \"NAME STATE/certs/NAME/live/combined.pem\"",
		},
		notes: []string{
			"Reads the store as root: nothing is written, and switching to a new version is one rename.",
			"A map for SNI embeds the files, keys and all: keep its source mode 0600, the mode of the map itself. The reload makes the maps that tls_server_sni_maps names anew (postmap -F) and then reloads Postfix.",
			"A pair that it cannot use ends STARTTLS, and no check of Postfix's says anything of it: only verify can tell.",
			"A service that has smtpd_tls_chain_files of its own (-o in master.cf) is reloaded just so.",
		},
	},
	{
		name:   "dovecot",
		check:  always("doveconf", "-h", "base_dir"), // reads everything, and shows nothing but that
		reload: always("doveadm", "reload"),
		setup: []string{
			"ssl_cert = <STATE/certs/NAME/live/fullchain.pem    # 2.4: ssl_server_cert_file = STATE/...",
			"ssl_key  = <STATE/certs/NAME/live/privkey.pem      # 2.4: ssl_server_key_file = STATE/...",
			"local_name NAME { ssl_cert = <... ssl_key = <... }  # for more names",
		},
		notes: []string{
			"Reads the store as root: nothing is written, and switching to a new version is one rename.",
			"A pair that it cannot use, if it is the default one, ends TLS for every name, and doveconf says nothing of it: only verify can tell.",
		},
	},
}
