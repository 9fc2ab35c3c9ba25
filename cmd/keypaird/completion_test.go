package main

import (
	"cmp"
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	cas "keypaird/acme/authority"
	"keypaird/hooks/preset"
)

// The completions are written from the commands and options of the program. The story
// completion tries them in the shells.
func TestCompletion(t *testing.T) {
	words := completed(t)
	compareText(t, "completion/keypaird.bash", bashCompletion(words))
	compareText(t, "completion/keypaird.zsh", zshCompletion(words))
	compareText(t, "completion/keypaird.fish", fishCompletion(words))
}

// A completion is what can follow a command.
type completion struct {
	name, does string
	options    []option
	verbs      []string // words that can be the first argument
	arguments  string   // what the other arguments are: a kind
	listed     bool     // with -list they are presets
}

// An option is a flag of a command.
type option struct {
	name, does string
	value      string // a kind, or words with spaces between; empty: there is no value
}

// Kinds of arguments and values.
const (
	noKind           = "none"
	fileKind         = "files"
	directoryKind    = "directories"
	targetKind       = "targets"
	unconfiguredKind = "unconfigured" // targets that forget can remove
	authorityKind    = "cas"
	providerKind     = "providers"
	presetKind       = "presets"
	commandKind      = "commands"
)

// argumentKinds are the kinds of arguments and values by their placeholder.
var argumentKinds = map[string]string{
	"name": targetKind, "ca": authorityKind, "provider": providerKind, "command": commandKind,
	"file": fileKind, "directory": directoryKind, "dir": directoryKind, "path": directoryKind,
}

// optionWords are the values of options whose usage does not list them as "one of".
var optionWords = map[string]string{"discover -to": "well-known srv"}

var argumentName = regexp.MustCompile(`[A-Z]{2,}`)
var oneOf = regexp.MustCompile(`(?:one of |: )((?:[\w.-]+, )+(?:or )?[\w.-]+)`)

// completed returns what can be completed, and help.
func completed(t *testing.T) []completion {
	t.Helper()
	config := option{"config", "the configuration file", fileKind}
	words := []completion{{name: "help", does: "print what a command takes", arguments: commandKind}}
	for _, c := range commands {
		w := completion{name: c.Name, does: c.Does, options: []option{config}, arguments: noKind}
		for _, part := range regexp.MustCompile(`\[[^]]*\]|\S+`).FindAllString(c.Args, -1) {
			switch part = strings.Trim(part, "[]."); {
			case strings.HasPrefix(part, "-"):
			case argumentName.MatchString(part):
				w.arguments = cmp.Or(argumentKinds[strings.ToLower(argumentName.FindString(part))], w.arguments)
			case part != "":
				w.verbs = strings.Split(part, "|")
			}
		}
		if c.Name == "forget" {
			w.arguments = unconfiguredKind
		}
		for _, f := range commandFlags(t, c) {
			w.options = append(w.options, optionOf(c.Name, f))
			w.listed = w.listed || f.Name == "list"
		}
		words = append(words, w)
	}
	return words
}

func optionOf(command string, f *flag.Flag) option {
	placeholder, usage := flag.UnquoteUsage(f)
	o := option{name: f.Name, does: usage}
	if placeholder == "" {
		return o
	}
	o.value = cmp.Or(optionWords[command+" -"+f.Name], argumentKinds[strings.ToLower(placeholder)], noKind)
	if m := oneOf.FindStringSubmatch(usage); m != nil {
		o.value = strings.ReplaceAll(strings.ReplaceAll(m[1], "or ", ""), ",", "")
	}
	return o
}

const completionHead = "# Written by TestCompletion from the commands and options of keypaird.\n"

// Every shell asks keypaird for targets and providers, and finds the CAs of the
// configuration in its file.
const (
	targetsSed      = `sed -n '/^  "targets": \[$/,/^  \]/s/^      "name": "\([^"]*\)",*$/\1/p'`
	unconfiguredSed = `sed -n '/^  "unconfigured": \[$/,/^  \]/s/^      "name": "\([^"]*\)",*$/\1/p'`
	authoritiesSed  = `sed -n 's/^[[:space:]]*\[ca\."\{0,1\}\([A-Za-z0-9._-]*\)"\{0,1\}\].*/\1/p'`
)

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func commandNames(words []completion) string {
	var list []string
	for _, w := range words {
		list = append(list, w.name)
	}
	return strings.Join(list, " ")
}

func isKind(value string) bool {
	return slices.Contains([]string{noKind, fileKind, directoryKind, targetKind, unconfiguredKind, authorityKind, providerKind, presetKind, commandKind}, value)
}

// sources are the shell's words for each kind that is a list, as POSIX shells write it.
// $config names the configuration file, or is empty.
func sources(words []completion, config, file string) [][2]string {
	return [][2]string{
		{targetKind, "keypaird " + config + "status -json 2>/dev/null | " + targetsSed},
		{unconfiguredKind, "keypaird " + config + "status -json 2>/dev/null | " + unconfiguredSed},
		{authorityKind, "echo " + strings.Join(cas.BuiltInNames(), " ") + "; " + authoritiesSed + " " + file + " 2>/dev/null"},
		{providerKind, "keypaird dns 2>/dev/null"},
		{presetKind, "echo " + strings.Join(preset.Names(), " ")},
		{commandKind, "echo " + commandNames(words)},
	}
}

func bashCompletion(words []completion) string {
	var b strings.Builder
	b.WriteString("# bash completion for keypaird\n" + completionHead + `
# _keypaird_list KIND CONFIG prints the words of a kind.
_keypaird_list() {
	case $1 in
`)
	for _, s := range sources(words, `${2:+-config "$2"} `, `"${2:-${KEYPAIRD_CONFIG:-/etc/keypaird/keypaird.toml}}"`) {
		fmt.Fprintf(&b, "\t%s) %s ;;\n", s[0], s[1])
	}
	b.WriteString(`	*) echo "$1" ;;
	esac
}

# _keypaird_options COMMAND prints its options.
_keypaird_options() {
	case $1 in
`)
	for _, w := range words {
		fmt.Fprintf(&b, "\t%s) echo", w.name)
		for _, o := range w.options {
			b.WriteString(" -" + o.name)
		}
		b.WriteString(" ;;\n")
	}
	b.WriteString(`	*) echo -config -version ;;
	esac
}

# _keypaird_value COMMAND OPTION prints the kind of an option's value, or nothing.
_keypaird_value() {
	case "$1 $2" in
	*" -config") echo files ;;
`)
	for _, w := range words {
		for _, o := range w.options {
			if o.value != "" && o.name != "config" {
				fmt.Fprintf(&b, "\t\"%s -%s\") echo %s ;;\n", w.name, o.name, o.value)
			}
		}
	}
	b.WriteString(`	esac
}

# _keypaird_arguments COMMAND PLACE LIST prints the kind of an argument. LIST is yes with -list.
_keypaird_arguments() {
	case "$1 $2 $3" in
	" "*) echo commands ;;
`)
	for _, w := range words {
		if len(w.verbs) > 0 {
			fmt.Fprintf(&b, "\t\"%s 0 \"*) echo %s ;;\n", w.name, strings.Join(w.verbs, " "))
		}
		if w.listed {
			fmt.Fprintf(&b, "\t\"%s \"*\" yes\") echo presets ;;\n", w.name)
		}
		fmt.Fprintf(&b, "\t\"%s \"*) echo %s ;;\n", w.name, w.arguments)
	}
	b.WriteString(`	*) echo none ;;
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
`)
	return b.String()
}

// zshText quotes the description of an option or word for _arguments and _describe.
func zshText(s string) string {
	return strings.NewReplacer("[", `\[`, "]", `\]`, ":", `\:`).Replace(s)
}

func zshCompletion(words []completion) string {
	var b strings.Builder
	b.WriteString("#compdef keypaird\n" + completionHead + `
# _keypaird_list KIND completes words of a kind.
_keypaird_list() {
	local -a list
	local config=${opt_args[-config]:-$_keypaird_config}
	case $1 in
`)
	for _, s := range sources(words, `${config:+-config} ${config:+$config} `, `${config:-${KEYPAIRD_CONFIG:-/etc/keypaird/keypaird.toml}}`) {
		if s[0] != commandKind {
			fmt.Fprintf(&b, "\t%s) list=(${=\"$(%s)\"}) ;;\n", s[0], s[1])
		}
	}
	b.WriteString("\tcommands)\n\t\tlist=(\n")
	for _, w := range words {
		fmt.Fprintf(&b, "\t\t\t%s\n", quoted(w.name+":"+zshText(w.does)))
	}
	b.WriteString(`		)
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
`)
	for _, w := range words {
		fmt.Fprintf(&b, "\t%s)\n\t\t_arguments", w.name)
		for _, o := range w.options {
			spec := "-" + o.name + "[" + zshText(o.does) + "]"
			if strings.Contains(o.does, "several times") {
				spec = "*" + spec
			}
			if o.value != "" {
				spec += ":" + o.name + ":" + zshAction(o.value)
			}
			b.WriteString(" \\\n\t\t\t" + quoted(spec))
		}
		if len(w.verbs) > 0 {
			b.WriteString(" \\\n\t\t\t" + quoted("1:verb:("+strings.Join(w.verbs, " ")+")"))
		}
		switch {
		case w.listed:
			b.WriteString(" \\\n\t\t\t\"*:name: _keypaird_list ${${words[(r)-list]:+presets}:-" + w.arguments + "}\"")
		case w.arguments != noKind:
			b.WriteString(" \\\n\t\t\t" + quoted("*:name:"+zshAction(w.arguments)))
		}
		b.WriteString("\n\t\t;;\n")
	}
	b.WriteString("\tesac\n}\n\n_keypaird \"$@\"\n")
	return b.String()
}

func zshAction(value string) string {
	switch {
	case value == noKind:
		return " "
	case value == fileKind:
		return "_files"
	case value == directoryKind:
		return "_files -/"
	case isKind(value):
		return " _keypaird_list " + value // the space keeps options from being put before the kind
	}
	return "(" + value + ")"
}

func fishCompletion(words []completion) string {
	var b strings.Builder
	b.WriteString("# fish completion for keypaird\n" + completionHead + `
# __keypaird_read prints the configuration file, the command and its arguments so far, a line each.
function __keypaird_read
	set -l config
	set -l rest
	set -l words (commandline -opc)[2..-1]
	while set -q words[1]
		switch $words[1]
`)
	var valued []string
	for _, w := range words {
		for _, o := range w.options {
			if o.value != "" && !slices.Contains(valued, "-"+o.name) {
				valued = append(valued, "-"+o.name)
			}
		}
	}
	fmt.Fprintf(&b, "\t\t\tcase %s\n", strings.Join(valued, " "))
	b.WriteString(`				test $words[1] = -config; and set config $words[2]
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
`)
	for _, s := range sources(words, "$option ", "$file[1]") {
		if s[0] == commandKind {
			continue
		}
		text := s[1]
		if strings.HasPrefix(text, "echo ") {
			text = "string split ' ' -- '" + strings.TrimPrefix(text, "echo ")
			if list, more, ok := strings.Cut(text, ";"); ok {
				text = list + "'\n\t\t\t" + strings.TrimSpace(more)
			} else {
				text += "'"
			}
		}
		fmt.Fprintf(&b, "\t\tcase %s\n\t\t\t%s\n", s[0], text)
	}
	b.WriteString(`	end
end

complete -c keypaird -f
complete -c keypaird -n __keypaird_in -o config -rF -d 'the configuration file'
complete -c keypaird -n __keypaird_in -o version -d 'print the version'
`)
	for _, w := range words {
		fmt.Fprintf(&b, "complete -c keypaird -n __keypaird_in -a %s -d %s\n", w.name, fishQuoted(w.does))
	}
	for _, w := range words {
		in := "'__keypaird_in " + w.name + "'"
		for _, o := range w.options {
			value := ""
			switch {
			case o.value == "":
			case o.value == fileKind, o.value == directoryKind:
				value = " -rF"
			case o.value == noKind:
				value = " -x"
			case isKind(o.value):
				value = " -xa '(__keypaird_list " + o.value + ")'"
			default:
				value = " -xa '" + o.value + "'"
			}
			fmt.Fprintf(&b, "complete -c keypaird -n %s -o %s%s -d %s\n", in, o.name, value, fishQuoted(o.does))
		}
		if len(w.verbs) > 0 {
			fmt.Fprintf(&b, "complete -c keypaird -n '__keypaird_first %s' -a '%s'\n", w.name, strings.Join(w.verbs, " "))
		}
		switch {
		case w.listed:
			fmt.Fprintf(&b, "complete -c keypaird -n '__keypaird_in %s; and __keypaird_has -list' -a '(__keypaird_list presets)'\n", w.name)
			fmt.Fprintf(&b, "complete -c keypaird -n '__keypaird_in %s; and not __keypaird_has -list' -a '(__keypaird_list %s)'\n", w.name, w.arguments)
		case w.arguments == commandKind:
			fmt.Fprintf(&b, "complete -c keypaird -n %s -a '%s'\n", in, commandNames(words))
		case w.arguments != noKind && len(w.verbs) > 0:
			fmt.Fprintf(&b, "complete -c keypaird -n '__keypaird_in %s; and not __keypaird_first %s' -a '(__keypaird_list %s)'\n", w.name, w.name, w.arguments)
		case w.arguments != noKind:
			fmt.Fprintf(&b, "complete -c keypaird -n %s -a '(__keypaird_list %s)'\n", in, w.arguments)
		}
	}
	return b.String()
}

func fishQuoted(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
