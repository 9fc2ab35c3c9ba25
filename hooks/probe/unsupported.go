package probe

import (
	"crypto/tls"
	"errors"
	"strings"
)

// ErrUnsupported reports a server with a TLS that this program does not speak. Its peers may.
var ErrUnsupported = errors.New("needs a version of TLS, a cipher suite or a key type that keypaird does not support")

// unsupported are parts of the errors of crypto/tls, which have no types, about a
// server that it does not support. Alerts are those of RFC 8446, section 6: a server
// sends them if it supports nothing that the client does.
var unsupported = []string{
	"server selected unsupported",
	"server chose an unconfigured cipher suite",
	"unsupported type of public key",
	"x509: unsupported elliptic curve",
	"remote error: " + tls.AlertError(70).Error(), // protocol_version
	"remote error: " + tls.AlertError(71).Error(), // insufficient_security
}

// IsUnsupported reports whether an error of crypto/tls is about a server that it does
// not support.
func IsUnsupported(err error) bool {
	text := err.Error()
	for _, part := range unsupported {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// allSuites returns all cipher suites of TLS 1.2 and before, also those that are not
// secure: no data is sent.
func allSuites() (ids []uint16) {
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		ids = append(ids, s.ID)
	}
	return ids
}
