#compdef keypaird
# Written by TestCompletion from the commands and options of keypaird.

# _keypaird_list KIND completes words of a kind.
_keypaird_list() {
	local -a list
	local config=${opt_args[-config]:-$_keypaird_config}
	case $1 in
	targets) list=(${="$(keypaird ${config:+-config} ${config:+$config} status -json 2>/dev/null | sed -n '/^  "targets": \[$/,/^  \]/s/^      "name": "\([^"]*\)",*$/\1/p')"}) ;;
	unconfigured) list=(${="$(keypaird ${config:+-config} ${config:+$config} status -json 2>/dev/null | sed -n '/^  "unconfigured": \[$/,/^  \]/s/^      "name": "\([^"]*\)",*$/\1/p')"}) ;;
	cas) list=(${="$(echo actalis buypass-free buypass-free-staging google google-staging letsencrypt letsencrypt-staging sslcom zerossl; sed -n 's/^[[:space:]]*\[ca\."\{0,1\}\([A-Za-z0-9._-]*\)"\{0,1\}\].*/\1/p' ${config:-${KEYPAIRD_CONFIG:-/etc/keypaird/keypaird.toml}} 2>/dev/null)"}) ;;
	providers) list=(${="$(keypaird dns 2>/dev/null)"}) ;;
	presets) list=(${="$(echo apache caddy coturn dendrite dovecot ejabberd exim haproxy hitch httpd lighttpd mumble nginx opensmtpd postfix prosody relayd synapse tuwunel)"}) ;;
	commands)
		list=(
			'help:print what a command takes'
			'init:write a first configuration, from answers and from what is here'
			'run:run the daemon in the foreground'
			'issue:obtain and deploy what is missing, due or changed'
			'check:check the configuration, and with -live all that issuing needs'
			'status:show what is live, until when, and what comes next'
			'verify:check which certificate each endpoint serves'
			'discover:find the endpoints and names that a domain'\''s services need'
			'import:take over from another ACME client'
			'forget:remove what is stored of targets that are no longer configured'
			'deploy:deploy and verify again what is stored, or list presets'
			'account:show the accounts at CAs, or change one'
			'revoke:replace a certificate and its key, and revoke the old one'
			'fleet:begin a fleet, show it, or control how its certificates are deployed'
			'dns:list DNS providers, or the variables of one'
			'version:print the version'
		)
		_describe command list
		return
		;;
	esac
	compadd -a list
}

_keypaird() {
	local curcontext=$curcontext state line _keypaird_config
	typeset -A opt_args
	_arguments -C -A "-*" \
		'-config[the configuration file]:file:_files' \
		'-version[print the version]' \
		'1:command: _keypaird_list commands' \
		'*::argument:->arguments'
	[[ $state = arguments ]] || return
	_keypaird_config=${opt_args[-config]}
	case $words[1] in
	help)
		_arguments \
			'*:name: _keypaird_list commands'
		;;
	init)
		_arguments \
			'-config[the configuration file]:config:_files' \
			'-components[further XMPP domains, with commas between]:components: ' \
			'-deploy[the servers that use the certificates, with commas between\: keypaird deploy -list; or none]:deploy: ' \
			'-dns[the DNS provider\: keypaird dns lists them; or persist, or none]:dns: _keypaird_list providers' \
			'-email[the mail address that the CA may write to]:email: ' \
			'*-env[a variable of the DNS account, VARIABLE=VALUE; may be given several times]:env: ' \
			'-host[the server'\''s own name]:host: _keypaird_list targets' \
			'-o[write this file; default\: the one of -config]:o:_files' \
			'-port80[who has port 80\: proxy, a web server that passes challenges on, or keypaird]:port80:(proxy a)' \
			'-services[the services of the domain, with commas between\: caldav, imap, mail, matrix, sip, smtp, web, xmpp]:services:(caldav imap mail matrix sip smtp web xmpp)' \
			'-yes[ask nothing, and take what would be proposed]'
		;;
	run)
		_arguments \
			'-config[the configuration file]:config:_files' \
			'-v[log every step]'
		;;
	issue)
		_arguments \
			'-config[the configuration file]:config:_files' \
			'-alone[order without the engine of the fleet while it cannot be used, as a last resort; the names of targets are required]' \
			'-check[first do what check -live and issue -dry-run do; order nothing if something fails]' \
			'-dry-run[try everything at the CAs'\'' twins for tests; what is issued is neither stored nor deployed]' \
			'-force[renew even if not due, ignoring the rate limit]' \
			'-json[print what was done as JSON]' \
			'-new-key[renew with another private key, also if not due, within the rate limit; with TLSA records only once those of the next key are published]' \
			'-v[log every step]' \
			'*:name: _keypaird_list targets'
		;;
	check)
		_arguments \
			'-config[the configuration file]:config:_files' \
			'-json[print the findings as JSON]' \
			'-live[also test what issuing needs\: CAs, DNS accounts, http-01, CAA, files, TLSA records, and the names that peers need]'
		;;
	status)
		_arguments \
			'-config[the configuration file]:config:_files' \
			'-fleet[show the fleet\: its nodes, and how far each release has come]' \
			'-json[print the status document as JSON; with -fleet, its part about the fleet]' \
			'*:name: _keypaird_list targets'
		;;
	verify)
		_arguments \
			'-config[the configuration file]:config:_files' \
			'*-component[a further XMPP domain, such as conference.example.org; may be given several times]:component: ' \
			'-json[print the checks as JSON]' \
			'*-resolve[take NAME to be at ADDRESS whatever DNS says, as NAME=ADDRESS; may be given several times]:resolve: ' \
			'*-resolver[ask the DNS server at this address, with \:port if it is not 53; may be given several times]:resolver: ' \
			'-roots[trust the CAs in this PEM file too]:roots:_files' \
			'*-service[find this service only, one of caldav, imap, mail, matrix, sip, smtp, web, xmpp; may be given several times]:service:(caldav imap mail matrix sip smtp web xmpp)' \
			'-tap[print the checks in the Test Anything Protocol, version 13]' \
			'*:name: _keypaird_list targets'
		;;
	discover)
		_arguments \
			'-config[the configuration file]:config:_files' \
			'-ask[query the homeservers'\'' version endpoint]' \
			'*-component[a further XMPP domain, such as conference.example.org; may be given several times]:component: ' \
			'-json[print the answer as JSON]' \
			'-plan[plan the move of the Matrix federation]' \
			'*-resolve[take NAME to be at ADDRESS whatever DNS says, as NAME=ADDRESS; may be given several times]:resolve: ' \
			'*-resolver[ask the DNS server at this address, with \:port if it is not 53; may be given several times]:resolver: ' \
			'-roots[trust the CAs in this PEM file too]:roots:_files' \
			'-server[with -plan\: the homeserver, HOST\:PORT; default\: where homeservers go today]:server: ' \
			'*-service[find this service only, one of caldav, imap, mail, matrix, sip, smtp, web, xmpp; may be given several times]:service:(caldav imap mail matrix sip smtp web xmpp)' \
			'-since[with -plan\: time at which the change was published, to work out when caches expire]:since: ' \
			'-to[with -plan\: move to well-known, the default, or to srv]:to:(well-known srv)' \
			'-v[log unanswered DNS queries]'
		;;
	import)
		_arguments \
			'-config[the configuration file]:config:_files' \
			'-ca[the URL of the CA'\''s directory, for clients that do not keep it; default\: Let'\''s Encrypt]:ca: ' \
			'-dir[its directory, or its configuration file; default\: where it usually is]:dir:_files -/' \
			'-disable[turn off what runs the other client, once the configuration is written]' \
			'-from[the client\: certbot, acme.sh, lego, dehydrated, acme-client, caddy, mod_md, acmetool, uacme; default\: the one that is found]:from:(certbot acme.sh lego dehydrated acme-client caddy mod_md acmetool uacme)' \
			'-json[print what was found and done as JSON]' \
			'-roots[PEM file with the roots for the CA'\''s own TLS, if it is a private one]:roots:_files' \
			'*-skip[leave out the certificate, or account, of this name; may be given several times]:skip: _keypaird_list targets' \
			'-write[write the configuration, and take accounts and pairs over]'
		;;
	forget)
		_arguments \
			'-config[the configuration file]:config:_files' \
			'-files[remove the deployed files that still hold the pair, too; no server may use them any more]' \
			'-json[print what was removed as JSON]' \
			'*:name: _keypaird_list unconfigured'
		;;
	deploy)
		_arguments \
			'-config[the configuration file]:config:_files' \
			'-json[print what was done as JSON]' \
			'-list[list the presets, or those named; nothing is deployed]' \
			'-stand-in[write self-signed pairs where files are missing, for servers that do not start without; nothing else is deployed]' \
			'-v[log every step]' \
			"*:name: _keypaird_list ${${words[(r)-list]:+presets}:-targets}"
		;;
	account)
		_arguments \
			'-config[the configuration file]:config:_files' \
			'-json[print the accounts as JSON]' \
			'1:verb:(show register rollover deactivate)' \
			'*:name: _keypaird_list cas'
		;;
	revoke)
		_arguments \
			'-config[the configuration file]:config:_files' \
			'-json[print what was revoked as JSON]' \
			'-key[sign by the certificate'\''s key in place of the account'\''s; keyCompromise always does]' \
			'-only[revoke at once; the next pass orders the replacement]' \
			'-reason[REASON to give\: affiliationChanged, cessationOfOperation, keyCompromise, superseded, unspecified; default\: none]:reason:(affiliationChanged cessationOfOperation keyCompromise superseded unspecified)' \
			'-v[log every step]' \
			'*:name: _keypaird_list targets'
		;;
	fleet)
		_arguments \
			'-config[the configuration file]:config:_files' \
			'-compromised[with remove\: order new pairs in place of all that the node had]' \
			'-force[with rollback\: go back even if peers that check TLSA records refuse the earlier certificate]' \
			'-json[with status\: print it as JSON]' \
			'-print-etcdctl[with init\: print the commands that make the users and roles of etcd, and do nothing]' \
			'-reason[with hold\: the reason, which keypaird fleet status shows]:reason: ' \
			'-rotate[with key\: make a second key beside the first; the next time, once \[fleet.nodes\] has only the new one, remove the first]' \
			'1:verb:(key init status rollback hold go remove)' \
			'*:name: _keypaird_list targets'
		;;
	dns)
		_arguments \
			'-config[the configuration file]:config:_files' \
			'-json[print as JSON]' \
			'*:name: _keypaird_list providers'
		;;
	version)
		_arguments \
			'-config[the configuration file]:config:_files' \
			'-json[print the version as JSON]'
		;;
	esac
}

_keypaird "$@"
