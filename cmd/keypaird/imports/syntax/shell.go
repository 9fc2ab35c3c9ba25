package syntax

import (
	"strings"

	"keypaird/renew/problem"
)

// An Assignment is one KEY=value of a shell file.
type Assignment struct {
	Key, Value string
	Line       int
}

// Shell returns the assignments of a shell file. It knows what clients write and
// people add: comments, export, quotes, and $KEY or ${KEY} of what was assigned before.
// Anything else goes to other, with its line, and the key if it is an assignment: it
// would need a shell, which is not run.
func Shell(data string, known map[string]string, other func(line int, key string, err error)) []Assignment {
	var list []Assignment
	for i, line := range strings.Split(strings.ReplaceAll(data, "\r\n", "\n"), "\n") {
		text := strings.TrimSpace(line)
		if text == "" || text[0] == '#' {
			continue
		}
		if rest, ok := strings.CutPrefix(text, "export "); ok {
			text = strings.TrimSpace(rest)
		}
		key, rest, ok := strings.Cut(text, "=")
		if !ok || !isShellName(key) {
			other(i+1, "", problem.Newf("see whether it matters; remove it if not", "is no assignment, and nothing is run here: %.80q", text))
			continue
		}
		value, err := shellValue(rest, known)
		if err != nil {
			other(i+1, key, err)
			continue
		}
		known[key] = value
		list = append(list, Assignment{key, value, i + 1})
	}
	return list
}

func isShellName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == "" && (s[0] < '0' || s[0] > '9')
}

// shellValue returns the value of an assignment.
func shellValue(s string, known map[string]string) (string, error) {
	var b strings.Builder
	refuse := func() (string, error) {
		return "", problem.Newf("write the value itself", "needs a shell, and none is run here: %.80q", s)
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\'':
			end := strings.IndexByte(s[i+1:], '\'')
			if end < 0 {
				return "", problem.Newf("end the quote", "has a quote without an end: %.80q", s)
			}
			b.WriteString(s[i+1 : i+1+end])
			i += end + 1
		case '"':
			end, text, err := doubleQuoted(s[i+1:], known)
			if err != nil {
				return "", err
			}
			b.WriteString(text)
			i += end
		case ' ', '\t':
			rest := strings.TrimSpace(s[i:])
			if rest == "" || rest[0] == '#' {
				return b.String(), nil
			}
			return refuse()
		case '$':
			n, text, ok := variable(s[i:], known)
			if !ok {
				return refuse()
			}
			b.WriteString(text)
			i += n - 1
		case '\\':
			if i+1 == len(s) {
				return refuse()
			}
			i++
			b.WriteByte(s[i])
		case '`', ';', '&', '|', '<', '>', '(', ')':
			return refuse()
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}

// doubleQuoted reads up to the closing quote, and returns how many bytes that are.
func doubleQuoted(s string, known map[string]string) (n int, text string, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"':
			return i + 1, b.String(), nil
		case '\\':
			if i+1 < len(s) && strings.IndexByte("\"\\$`", s[i+1]) >= 0 {
				i++
			}
			b.WriteByte(s[i])
		case '$':
			n, text, ok := variable(s[i:], known)
			if !ok {
				return 0, "", problem.Newf("write the value itself", "needs a shell, and none is run here: %.80q", s)
			}
			b.WriteString(text)
			i += n - 1
		case '`':
			return 0, "", problem.Newf("write the value itself", "needs a shell, and none is run here: %.80q", s)
		default:
			b.WriteByte(c)
		}
	}
	return 0, "", problem.Newf("end the quote", "has a quote without an end: %.80q", s)
}

// variable returns the value of $KEY or ${KEY} at the begin of s, and its length there.
func variable(s string, known map[string]string) (n int, text string, ok bool) {
	if rest, braces := strings.CutPrefix(s, "${"); braces {
		key, _, closed := strings.Cut(rest, "}")
		text, ok = known[key]
		return len(key) + 3, text, closed && ok
	}
	n = 1
	for n < len(s) && isShellName(s[1:n+1]) {
		n++
	}
	text, ok = known[s[1:n]]
	return n, text, ok
}

// Words splits a command line that needs no shell into its words: nil if it does, or if
// there are none.
func Words(command string) []string {
	if strings.TrimSpace(command) == "" || strings.ContainsAny(command, "|&;<>()$`\\\"'*?[]#~=%!{}\n") {
		return nil
	}
	return strings.Fields(command)
}

// Fields splits a command line at spaces outside of quotes, and removes the quotes.
func Fields(command string) []string {
	var list []string
	var b strings.Builder
	inside, quote := false, byte(0)
	for i := 0; i <= len(command); i++ {
		c := byte(' ')
		if i < len(command) {
			c = command[i]
		}
		switch {
		case quote != 0 && c == quote && i < len(command):
			quote = 0
		case quote != 0 && i < len(command):
			b.WriteByte(c)
		case c == '"' || c == '\'':
			inside, quote = true, c
		case c == ' ' || c == '\t':
			if inside {
				list = append(list, b.String())
			}
			b.Reset()
			inside = false
		default:
			b.WriteByte(c)
			inside = true
		}
	}
	return list
}

// After returns the words of the command that follows the last && of a command line; nil
// if there is none, or if it needs a shell.
func After(command string) []string {
	i := strings.LastIndex(command, "&&")
	if i < 0 {
		return nil
	}
	return Words(command[i+2:])
}
