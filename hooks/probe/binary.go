package probe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The protocols below are not made of lines.

// ldapStartTLS is an extended request with the name of StartTLS.
const ldapStartTLS = "\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"

// Tags and result codes of LDAP (RFC 4511, appendix B).
const (
	ldapMessage          = 0x30
	ldapExtendedResponse = 0x78
	ldapSuccess          = 0
	ldapProtocolError    = 2 // StartTLS is not known
)

// ldap: RFC 4511, section 4.14.
func ldap(c *chat, _ string) error {
	if err := c.send(ldapStartTLS); err != nil {
		return err
	}
	tag, message, err := element(c.r)
	if err != nil {
		return fmt.Errorf("StartTLS: %w", err)
	}
	parts := bytes.NewReader(message)
	_, _, err = element(parts) // the number of the message
	kind, body, err2 := element(parts)
	result := bytes.NewReader(body)
	_, code, err3 := element(result)
	if err := errors.Join(err, err2, err3); err != nil || tag != ldapMessage || kind != ldapExtendedResponse || len(code) != 1 {
		return refused("StartTLS", string(message))
	}
	switch code[0] {
	case ldapSuccess:
		return nil
	case ldapProtocolError:
		return ErrNoTLS
	}
	_, _, _ = element(result) // a name
	_, text, _ := element(result)
	return refused("StartTLS", fmt.Sprintf("result %d %s", code[0], text))
}

// element reads one element in the Basic Encoding Rules: its tag, of one byte, and what it
// holds. Its length may have leading zeros, as Active Directory sends it.
func element(r io.Reader) (tag byte, content []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, hungUp(err)
	}
	length := uint64(head[1])
	if head[1] >= 0x80 {
		var long [8]byte
		n := int(head[1] & 0x7f)
		if n == 0 || n > 4 {
			return 0, nil, refused("LDAP", string(head[:]))
		}
		if _, err := io.ReadFull(r, long[8-n:]); err != nil {
			return 0, nil, hungUp(err)
		}
		length = binary.BigEndian.Uint64(long[:])
	}
	if length > maxLine {
		return 0, nil, fmt.Errorf("the server sends %d bytes, more than %d", length, maxLine)
	}
	content = make([]byte, length)
	if _, err := io.ReadFull(r, content); err != nil {
		return 0, nil, hungUp(err)
	}
	return head[0], content, nil
}

// postgresSSLRequest is its length, and a version of the protocol that does not exist.
const postgresSSLRequest = "\x00\x00\x00\x08\x04\xd2\x16\x2f"

// postgres: SSLRequest in the documentation of PostgreSQL, "Message Flow".
func postgres(c *chat, _ string) error {
	if err := c.send(postgresSSLRequest); err != nil {
		return err
	}
	b, err := c.r.ReadByte()
	switch {
	case err != nil:
		return fmt.Errorf("SSLRequest: %w", hungUp(err))
	case b == 'S':
		return nil
	case b == 'N':
		return ErrNoTLS
	}
	return refused("SSLRequest", string([]byte{b}))
}

// mysqlSSLRequest is a packet of 32 bytes, the second one: its capabilities are the
// protocol of 4.1, TLS and its authentication; packets have up to 16 MB; latin1.
const mysqlSSLRequest = "\x20\x00\x00\x01" + "\x00\x8a\x00\x00" + "\x00\x00\x00\x01" + "\x08" +
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// mysqlTLS is the capability of TLS, in the second byte of the capabilities.
const mysqlTLS = 0x08

// mysql: Protocol::HandshakeV10 and Protocol::SSLRequest in MySQL's documentation, which
// MariaDB speaks, too.
func mysql(c *chat, _ string) error {
	var head [4]byte // three bytes of length, and a number
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return fmt.Errorf("greeting: %w", hungUp(err))
	}
	length := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	if length > maxLine {
		return refused("greeting", string(head[:]))
	}
	greeting := make([]byte, length)
	if _, err := io.ReadFull(c.r, greeting); err != nil {
		return fmt.Errorf("greeting: %w", hungUp(err))
	}
	if len(greeting) > 3 && greeting[0] == 0xff { // an error, and its number
		return refused("greeting", string(greeting[3:]))
	}
	version := bytes.IndexByte(greeting, 0)
	capabilities := version + 1 + 4 + 8 + 1 // behind the id of the connection, a challenge and a zero
	if length == 0 || greeting[0] != 10 || version < 0 || len(greeting) < capabilities+2 {
		return refused("greeting", string(greeting))
	}
	if greeting[capabilities+1]&mysqlTLS == 0 {
		return ErrNoTLS
	}
	return c.send(mysqlSSLRequest)
}
