# bash completion for keypaird
# Written by TestCompletion from the commands and options of keypaird.

# _keypaird_list KIND CONFIG prints the words of a kind.
_keypaird_list() {
	case $1 in
	targets) keypaird ${2:+-config "$2"} status -json 2>/dev/null | sed -n '/^  "targets": \[$/,/^  \]/s/^      "name": "\([^"]*\)",*$/\1/p' ;;
	unconfigured) keypaird ${2:+-config "$2"} status -json 2>/dev/null | sed -n '/^  "unconfigured": \[$/,/^  \]/s/^      "name": "\([^"]*\)",*$/\1/p' ;;
	cas) echo actalis buypass-free buypass-free-staging google google-staging letsencrypt letsencrypt-staging sslcom zerossl; sed -n 's/^[[:space:]]*\[ca\."\{0,1\}\([A-Za-z0-9._-]*\)"\{0,1\}\].*/\1/p' "${2:-${KEYPAIRD_CONFIG:-/etc/keypaird/keypaird.toml}}" 2>/dev/null ;;
	providers) keypaird dns 2>/dev/null ;;
	presets) echo apache caddy coturn dendrite dovecot ejabberd exim haproxy hitch httpd lighttpd mumble nginx opensmtpd postfix prosody relayd synapse tuwunel ;;
	commands) echo help init run issue check status verify discover import forget deploy account revoke fleet dns version ;;
	*) echo "$1" ;;
	esac
}

# _keypaird_options COMMAND prints its options.
_keypaird_options() {
	case $1 in
	help) echo ;;
	init) echo -config -components -deploy -dns -email -env -host -o -port80 -services -yes ;;
	run) echo -config -v ;;
	issue) echo -config -alone -check -dry-run -force -json -new-key -v ;;
	check) echo -config -json -live ;;
	status) echo -config -fleet -json ;;
	verify) echo -config -component -json -resolve -resolver -roots -service -tap ;;
	discover) echo -config -ask -component -json -plan -resolve -resolver -roots -server -service -since -to -v ;;
	import) echo -config -ca -dir -disable -from -json -roots -skip -write ;;
	forget) echo -config -files -json ;;
	deploy) echo -config -json -list -stand-in -v ;;
	account) echo -config -json ;;
	revoke) echo -config -json -key -only -reason -v ;;
	fleet) echo -config -compromised -force -json -print-etcdctl -reason -rotate ;;
	dns) echo -config -json ;;
	version) echo -config -json ;;
	*) echo -config -version ;;
	esac
}

# _keypaird_value COMMAND OPTION prints the kind of an option's value, or nothing.
_keypaird_value() {
	case "$1 $2" in
	*" -config") echo files ;;
	"init -components") echo none ;;
	"init -deploy") echo none ;;
	"init -dns") echo providers ;;
	"init -email") echo none ;;
	"init -env") echo none ;;
	"init -host") echo targets ;;
	"init -o") echo files ;;
	"init -port80") echo proxy a ;;
	"init -services") echo caldav imap mail matrix sip smtp web xmpp ;;
	"verify -component") echo none ;;
	"verify -resolve") echo none ;;
	"verify -resolver") echo none ;;
	"verify -roots") echo files ;;
	"verify -service") echo caldav imap mail matrix sip smtp web xmpp ;;
	"discover -component") echo none ;;
	"discover -resolve") echo none ;;
	"discover -resolver") echo none ;;
	"discover -roots") echo files ;;
	"discover -server") echo none ;;
	"discover -service") echo caldav imap mail matrix sip smtp web xmpp ;;
	"discover -since") echo none ;;
	"discover -to") echo well-known srv ;;
	"import -ca") echo none ;;
	"import -dir") echo directories ;;
	"import -from") echo certbot acme.sh lego dehydrated acme-client caddy mod_md acmetool uacme ;;
	"import -roots") echo files ;;
	"import -skip") echo targets ;;
	"revoke -reason") echo affiliationChanged cessationOfOperation keyCompromise superseded unspecified ;;
	"fleet -reason") echo none ;;
	esac
}

# _keypaird_arguments COMMAND PLACE LIST prints the kind of an argument. LIST is yes with -list.
_keypaird_arguments() {
	case "$1 $2 $3" in
	" "*) echo commands ;;
	"help "*) echo commands ;;
	"init "*) echo none ;;
	"run "*) echo none ;;
	"issue "*) echo targets ;;
	"check "*) echo none ;;
	"status "*) echo targets ;;
	"verify "*) echo targets ;;
	"discover "*) echo none ;;
	"import "*) echo none ;;
	"forget "*) echo unconfigured ;;
	"deploy "*" yes") echo presets ;;
	"deploy "*) echo targets ;;
	"account 0 "*) echo show register rollover deactivate ;;
	"account "*) echo cas ;;
	"revoke "*) echo targets ;;
	"fleet 0 "*) echo key init status rollback hold go remove ;;
	"fleet "*) echo targets ;;
	"dns "*) echo providers ;;
	"version "*) echo none ;;
	*) echo none ;;
	esac
}

_keypaird() {
	local cur=${COMP_WORDS[COMP_CWORD]} i=1 word value command= config= place=0 list= kind=
	while ((i < COMP_CWORD)); do
		word=${COMP_WORDS[i]}
		((i++))
		case $word in
		-*)
			[[ $word != --* ]] || word=${word#-}
			[[ $word != -list ]] || list=yes
			value=$(_keypaird_value "$command" "$word")
			[[ ${COMP_WORDS[i]} != = || $i -eq $COMP_CWORD ]] || ((i++)) # -config=FILE
			if [[ $value && $i -eq $COMP_CWORD ]]; then
				kind=$value
			elif [[ $value ]]; then
				[[ $word != -config ]] || config=${COMP_WORDS[i]}
				((i++))
			fi
			;;
		*) if [[ $command ]]; then ((place++)); else command=$word; fi ;;
		esac
	done
	if [[ ! $kind && $cur == -* ]]; then
		kind=$(_keypaird_options "$command")
	elif [[ ! $kind ]]; then
		kind=$(_keypaird_arguments "$command" "$place" "$list")
	fi
	COMPREPLY=()
	case $kind in
	none) ;;
	files | directories)
		compopt -o filenames 2>/dev/null
		while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -"${kind:0:1}" -- "$cur")
		;;
	*)
		# Names come from files: they are no code, and no patterns.
		for word in $(set -f; _keypaird_list "$kind" "$config"); do
			[[ $word != "$cur"* || $word == *[!A-Za-z0-9._*-]* ]] || COMPREPLY+=("$(printf %q "$word")")
		done
		;;
	esac
}
complete -F _keypaird keypaird
