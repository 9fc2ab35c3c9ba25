package syntax

import (
	"strings"

	"keypaird/renew/problem"
)

// A Token is a word or a sign of the file.
type Token struct {
	Text string
	Word bool // not a sign
	Line int
}

// Tokens splits text as the parser of acme-client(1) does.
func Tokens(text string) (list []Token, line int, err error) {
	line = 1
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\n':
			list = append(list, Token{"\n", false, line})
			line++
		case c == ' ' || c == '\t' || c == '\r':
		case c == '\\' && i+1 < len(text) && text[i+1] == '\n':
			i++
			line++
		case c == '#':
			for i+1 < len(text) && text[i+1] != '\n' {
				i++
			}
		case c == '{' || c == '}' || c == ',' || c == '=':
			list = append(list, Token{string(c), false, line})
		case c == '"':
			var b strings.Builder
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\n' {
					return nil, line, problem.New("has a quote without an end", "end the quote")
				}
				if text[i] == '\\' && i+1 < len(text) {
					i++
				}
				b.WriteByte(text[i])
			}
			if i == len(text) {
				return nil, line, problem.New("has a quote without an end", "end the quote")
			}
			list = append(list, Token{b.String(), true, line})
		default:
			start := i
			for i+1 < len(text) && !strings.ContainsRune(" \t\r\n{},=#\"", rune(text[i+1])) {
				i++
			}
			list = append(list, Token{text[start : i+1], true, line})
		}
	}
	return append(list, Token{"\n", false, line}), 0, nil
}
