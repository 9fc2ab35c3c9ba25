# fish completion for keypaird
# Written by TestCompletion from the commands and options of keypaird.

# __keypaird_read prints the configuration file, the command and its arguments so far, a line each.
function __keypaird_read
	set -l config
	set -l rest
	set -l words (commandline -opc)[2..-1]
	while set -q words[1]
		switch $words[1]
			case -config -components -deploy -dns -email -env -host -o -port80 -services -component -resolve -resolver -roots -service -server -since -to -ca -dir -from -skip -reason
				test $words[1] = -config; and set config $words[2]
				set -e words[1]
			case '-*'
			case '*'
				set -a rest $words[1]
		end
		set -e words[1]
	end
	printf '%s\n' "$config" $rest
end

# __keypaird_in COMMAND is true if that is the command; without one, if there is none yet.
function __keypaird_in
	set -l read (__keypaird_read)
	test "$read[2]" = "$argv[1]"
end

# __keypaird_first COMMAND is true before its first argument.
function __keypaird_first
	set -l read (__keypaird_read)
	test "$read[2]" = "$argv[1]"; and test (count $read) -eq 2
end

# __keypaird_has OPTION is true if it was given.
function __keypaird_has
	contains -- $argv[1] (commandline -opc)
end

# __keypaird_list KIND prints the words of a kind.
function __keypaird_list
	set -l config (__keypaird_read)[1]
	set -l file $config $KEYPAIRD_CONFIG /etc/keypaird/keypaird.toml
	set -l option
	test -n "$config"; and set option -config $config; or set -e file[1]
	switch $argv[1]
		case targets
			keypaird $option status -json 2>/dev/null | sed -n '/^  "targets": \[$/,/^  \]/s/^      "name": "\([^"]*\)",*$/\1/p'
		case unconfigured
			keypaird $option status -json 2>/dev/null | sed -n '/^  "unconfigured": \[$/,/^  \]/s/^      "name": "\([^"]*\)",*$/\1/p'
		case cas
			string split ' ' -- 'actalis buypass-free buypass-free-staging google google-staging letsencrypt letsencrypt-staging sslcom zerossl'
			sed -n 's/^[[:space:]]*\[ca\."\{0,1\}\([A-Za-z0-9._-]*\)"\{0,1\}\].*/\1/p' $file[1] 2>/dev/null
		case providers
			keypaird dns 2>/dev/null
		case presets
			string split ' ' -- 'apache caddy coturn dendrite dovecot ejabberd exim haproxy hitch httpd lighttpd mumble nginx opensmtpd postfix prosody relayd synapse tuwunel'
	end
end

complete -c keypaird -f
complete -c keypaird -n __keypaird_in -o config -rF -d 'the configuration file'
complete -c keypaird -n __keypaird_in -o version -d 'print the version'
complete -c keypaird -n __keypaird_in -a help -d 'print what a command takes'
complete -c keypaird -n __keypaird_in -a init -d 'write a first configuration, from answers and from what is here'
complete -c keypaird -n __keypaird_in -a run -d 'run the daemon in the foreground'
complete -c keypaird -n __keypaird_in -a issue -d 'obtain and deploy what is missing, due or changed'
complete -c keypaird -n __keypaird_in -a check -d 'check the configuration, and with -live all that issuing needs'
complete -c keypaird -n __keypaird_in -a status -d 'show what is live, until when, and what comes next'
complete -c keypaird -n __keypaird_in -a verify -d 'check which certificate each endpoint serves'
complete -c keypaird -n __keypaird_in -a discover -d 'find the endpoints and names that a domain\'s services need'
complete -c keypaird -n __keypaird_in -a import -d 'take over from another ACME client'
complete -c keypaird -n __keypaird_in -a forget -d 'remove what is stored of targets that are no longer configured'
complete -c keypaird -n __keypaird_in -a deploy -d 'deploy and verify again what is stored, or list presets'
complete -c keypaird -n __keypaird_in -a account -d 'show the accounts at CAs, or change one'
complete -c keypaird -n __keypaird_in -a revoke -d 'replace a certificate and its key, and revoke the old one'
complete -c keypaird -n __keypaird_in -a fleet -d 'begin a fleet, show it, or control how its certificates are deployed'
complete -c keypaird -n __keypaird_in -a dns -d 'list DNS providers, or the variables of one'
complete -c keypaird -n __keypaird_in -a version -d 'print the version'
complete -c keypaird -n '__keypaird_in help' -a 'help init run issue check status verify discover import forget deploy account revoke fleet dns version'
complete -c keypaird -n '__keypaird_in init' -o config -rF -d 'the configuration file'
complete -c keypaird -n '__keypaird_in init' -o components -x -d 'further XMPP domains, with commas between'
complete -c keypaird -n '__keypaird_in init' -o deploy -x -d 'the servers that use the certificates, with commas between: keypaird deploy -list; or none'
complete -c keypaird -n '__keypaird_in init' -o dns -xa '(__keypaird_list providers)' -d 'the DNS provider: keypaird dns lists them; or persist, or none'
complete -c keypaird -n '__keypaird_in init' -o email -x -d 'the mail address that the CA may write to'
complete -c keypaird -n '__keypaird_in init' -o env -x -d 'a variable of the DNS account, VARIABLE=VALUE; may be given several times'
complete -c keypaird -n '__keypaird_in init' -o host -xa '(__keypaird_list targets)' -d 'the server\'s own name'
complete -c keypaird -n '__keypaird_in init' -o o -rF -d 'write this file; default: the one of -config'
complete -c keypaird -n '__keypaird_in init' -o port80 -xa 'proxy a' -d 'who has port 80: proxy, a web server that passes challenges on, or keypaird'
complete -c keypaird -n '__keypaird_in init' -o services -xa 'caldav imap mail matrix sip smtp web xmpp' -d 'the services of the domain, with commas between: caldav, imap, mail, matrix, sip, smtp, web, xmpp'
complete -c keypaird -n '__keypaird_in init' -o yes -d 'ask nothing, and take what would be proposed'
complete -c keypaird -n '__keypaird_in run' -o config -rF -d 'the configuration file'
complete -c keypaird -n '__keypaird_in run' -o v -d 'log every step'
complete -c keypaird -n '__keypaird_in issue' -o config -rF -d 'the configuration file'
complete -c keypaird -n '__keypaird_in issue' -o alone -d 'order without the engine of the fleet while it cannot be used, as a last resort; the names of targets are required'
complete -c keypaird -n '__keypaird_in issue' -o check -d 'first do what check -live and issue -dry-run do; order nothing if something fails'
complete -c keypaird -n '__keypaird_in issue' -o dry-run -d 'try everything at the CAs\' twins for tests; what is issued is neither stored nor deployed'
complete -c keypaird -n '__keypaird_in issue' -o force -d 'renew even if not due, ignoring the rate limit'
complete -c keypaird -n '__keypaird_in issue' -o json -d 'print what was done as JSON'
complete -c keypaird -n '__keypaird_in issue' -o new-key -d 'renew with another private key, also if not due, within the rate limit; with TLSA records only once those of the next key are published'
complete -c keypaird -n '__keypaird_in issue' -o v -d 'log every step'
complete -c keypaird -n '__keypaird_in issue' -a '(__keypaird_list targets)'
complete -c keypaird -n '__keypaird_in check' -o config -rF -d 'the configuration file'
complete -c keypaird -n '__keypaird_in check' -o json -d 'print the findings as JSON'
complete -c keypaird -n '__keypaird_in check' -o live -d 'also test what issuing needs: CAs, DNS accounts, http-01, CAA, files, TLSA records, and the names that peers need'
complete -c keypaird -n '__keypaird_in status' -o config -rF -d 'the configuration file'
complete -c keypaird -n '__keypaird_in status' -o fleet -d 'show the fleet: its nodes, and how far each release has come'
complete -c keypaird -n '__keypaird_in status' -o json -d 'print the status document as JSON; with -fleet, its part about the fleet'
complete -c keypaird -n '__keypaird_in status' -a '(__keypaird_list targets)'
complete -c keypaird -n '__keypaird_in verify' -o config -rF -d 'the configuration file'
complete -c keypaird -n '__keypaird_in verify' -o component -x -d 'a further XMPP domain, such as conference.example.org; may be given several times'
complete -c keypaird -n '__keypaird_in verify' -o json -d 'print the checks as JSON'
complete -c keypaird -n '__keypaird_in verify' -o resolve -x -d 'take NAME to be at ADDRESS whatever DNS says, as NAME=ADDRESS; may be given several times'
complete -c keypaird -n '__keypaird_in verify' -o resolver -x -d 'ask the DNS server at this address, with :port if it is not 53; may be given several times'
complete -c keypaird -n '__keypaird_in verify' -o roots -rF -d 'trust the CAs in this PEM file too'
complete -c keypaird -n '__keypaird_in verify' -o service -xa 'caldav imap mail matrix sip smtp web xmpp' -d 'find this service only, one of caldav, imap, mail, matrix, sip, smtp, web, xmpp; may be given several times'
complete -c keypaird -n '__keypaird_in verify' -o tap -d 'print the checks in the Test Anything Protocol, version 13'
complete -c keypaird -n '__keypaird_in verify' -a '(__keypaird_list targets)'
complete -c keypaird -n '__keypaird_in discover' -o config -rF -d 'the configuration file'
complete -c keypaird -n '__keypaird_in discover' -o ask -d 'query the homeservers\' version endpoint'
complete -c keypaird -n '__keypaird_in discover' -o component -x -d 'a further XMPP domain, such as conference.example.org; may be given several times'
complete -c keypaird -n '__keypaird_in discover' -o json -d 'print the answer as JSON'
complete -c keypaird -n '__keypaird_in discover' -o plan -d 'plan the move of the Matrix federation'
complete -c keypaird -n '__keypaird_in discover' -o resolve -x -d 'take NAME to be at ADDRESS whatever DNS says, as NAME=ADDRESS; may be given several times'
complete -c keypaird -n '__keypaird_in discover' -o resolver -x -d 'ask the DNS server at this address, with :port if it is not 53; may be given several times'
complete -c keypaird -n '__keypaird_in discover' -o roots -rF -d 'trust the CAs in this PEM file too'
complete -c keypaird -n '__keypaird_in discover' -o server -x -d 'with -plan: the homeserver, HOST:PORT; default: where homeservers go today'
complete -c keypaird -n '__keypaird_in discover' -o service -xa 'caldav imap mail matrix sip smtp web xmpp' -d 'find this service only, one of caldav, imap, mail, matrix, sip, smtp, web, xmpp; may be given several times'
complete -c keypaird -n '__keypaird_in discover' -o since -x -d 'with -plan: time at which the change was published, to work out when caches expire'
complete -c keypaird -n '__keypaird_in discover' -o to -xa 'well-known srv' -d 'with -plan: move to well-known, the default, or to srv'
complete -c keypaird -n '__keypaird_in discover' -o v -d 'log unanswered DNS queries'
complete -c keypaird -n '__keypaird_in import' -o config -rF -d 'the configuration file'
complete -c keypaird -n '__keypaird_in import' -o ca -x -d 'the URL of the CA\'s directory, for clients that do not keep it; default: Let\'s Encrypt'
complete -c keypaird -n '__keypaird_in import' -o dir -rF -d 'its directory, or its configuration file; default: where it usually is'
complete -c keypaird -n '__keypaird_in import' -o disable -d 'turn off what runs the other client, once the configuration is written'
complete -c keypaird -n '__keypaird_in import' -o from -xa 'certbot acme.sh lego dehydrated acme-client caddy mod_md acmetool uacme' -d 'the client: certbot, acme.sh, lego, dehydrated, acme-client, caddy, mod_md, acmetool, uacme; default: the one that is found'
complete -c keypaird -n '__keypaird_in import' -o json -d 'print what was found and done as JSON'
complete -c keypaird -n '__keypaird_in import' -o roots -rF -d 'PEM file with the roots for the CA\'s own TLS, if it is a private one'
complete -c keypaird -n '__keypaird_in import' -o skip -xa '(__keypaird_list targets)' -d 'leave out the certificate, or account, of this name; may be given several times'
complete -c keypaird -n '__keypaird_in import' -o write -d 'write the configuration, and take accounts and pairs over'
complete -c keypaird -n '__keypaird_in forget' -o config -rF -d 'the configuration file'
complete -c keypaird -n '__keypaird_in forget' -o files -d 'remove the deployed files that still hold the pair, too; no server may use them any more'
complete -c keypaird -n '__keypaird_in forget' -o json -d 'print what was removed as JSON'
complete -c keypaird -n '__keypaird_in forget' -a '(__keypaird_list unconfigured)'
complete -c keypaird -n '__keypaird_in deploy' -o config -rF -d 'the configuration file'
complete -c keypaird -n '__keypaird_in deploy' -o json -d 'print what was done as JSON'
complete -c keypaird -n '__keypaird_in deploy' -o list -d 'list the presets, or those named; nothing is deployed'
complete -c keypaird -n '__keypaird_in deploy' -o stand-in -d 'write self-signed pairs where files are missing, for servers that do not start without; nothing else is deployed'
complete -c keypaird -n '__keypaird_in deploy' -o v -d 'log every step'
complete -c keypaird -n '__keypaird_in deploy; and __keypaird_has -list' -a '(__keypaird_list presets)'
complete -c keypaird -n '__keypaird_in deploy; and not __keypaird_has -list' -a '(__keypaird_list targets)'
complete -c keypaird -n '__keypaird_in account' -o config -rF -d 'the configuration file'
complete -c keypaird -n '__keypaird_in account' -o json -d 'print the accounts as JSON'
complete -c keypaird -n '__keypaird_first account' -a 'show register rollover deactivate'
complete -c keypaird -n '__keypaird_in account; and not __keypaird_first account' -a '(__keypaird_list cas)'
complete -c keypaird -n '__keypaird_in revoke' -o config -rF -d 'the configuration file'
complete -c keypaird -n '__keypaird_in revoke' -o json -d 'print what was revoked as JSON'
complete -c keypaird -n '__keypaird_in revoke' -o key -d 'sign by the certificate\'s key in place of the account\'s; keyCompromise always does'
complete -c keypaird -n '__keypaird_in revoke' -o only -d 'revoke at once; the next pass orders the replacement'
complete -c keypaird -n '__keypaird_in revoke' -o reason -xa 'affiliationChanged cessationOfOperation keyCompromise superseded unspecified' -d 'REASON to give: affiliationChanged, cessationOfOperation, keyCompromise, superseded, unspecified; default: none'
complete -c keypaird -n '__keypaird_in revoke' -o v -d 'log every step'
complete -c keypaird -n '__keypaird_in revoke' -a '(__keypaird_list targets)'
complete -c keypaird -n '__keypaird_in fleet' -o config -rF -d 'the configuration file'
complete -c keypaird -n '__keypaird_in fleet' -o compromised -d 'with remove: order new pairs in place of all that the node had'
complete -c keypaird -n '__keypaird_in fleet' -o force -d 'with rollback: go back even if peers that check TLSA records refuse the earlier certificate'
complete -c keypaird -n '__keypaird_in fleet' -o json -d 'with status: print it as JSON'
complete -c keypaird -n '__keypaird_in fleet' -o print-etcdctl -d 'with init: print the commands that make the users and roles of etcd, and do nothing'
complete -c keypaird -n '__keypaird_in fleet' -o reason -x -d 'with hold: the reason, which keypaird fleet status shows'
complete -c keypaird -n '__keypaird_in fleet' -o rotate -d 'with key: make a second key beside the first; the next time, once [fleet.nodes] has only the new one, remove the first'
complete -c keypaird -n '__keypaird_first fleet' -a 'key init status rollback hold go remove'
complete -c keypaird -n '__keypaird_in fleet; and not __keypaird_first fleet' -a '(__keypaird_list targets)'
complete -c keypaird -n '__keypaird_in dns' -o config -rF -d 'the configuration file'
complete -c keypaird -n '__keypaird_in dns' -o json -d 'print as JSON'
complete -c keypaird -n '__keypaird_in dns' -a '(__keypaird_list providers)'
complete -c keypaird -n '__keypaird_in version' -o config -rF -d 'the configuration file'
complete -c keypaird -n '__keypaird_in version' -o json -d 'print the version as JSON'
