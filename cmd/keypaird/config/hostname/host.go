package hostname

import (
	"net/mail"
	"strings"
)

// IsHost reports whether s is an address or the name of a server.
func IsHost(s string) bool {
	name, err := Normal(s)
	return IsAddress(s) || err == nil && !strings.HasPrefix(name, "*") && !IsAddress(name)
}

// IsMailAddress reports whether s can stand behind "mailto:" (RFC 8555, section
// 7.3: one address, no header fields).
func IsMailAddress(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && !strings.ContainsAny(s, `?&%,"`) && IsHost(s[strings.LastIndex(s, "@")+1:])
}
