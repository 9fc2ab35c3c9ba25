package probe

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
)

// maxLine bounds one line of a dialogue. SMTP allows 512 octets (RFC 5321,
// section 4.5.3.1.5), IMAP greetings with capabilities are longer.
const maxLine = 4 << 10

// ErrInjected reports bytes between the go-ahead for TLS and the handshake.
var ErrInjected = errors.New("broken server, or an attacker injects them")

// ErrNoTLS reports a server that speaks the protocol without TLS.
var ErrNoTLS = errors.New("the server does not support STARTTLS")

// A chat is the dialogue in plain text before TLS.
type chat struct {
	conn net.Conn
	r    *bufio.Reader
}

func newChat(conn net.Conn) *chat {
	return &chat{conn: conn, r: bufio.NewReaderSize(conn, maxLine)}
}

// run runs the dialogue of p and ensures that the server sent nothing after its
// go-ahead: such bytes would be read as if they came through TLS.
func (c *chat) run(p *protocol, name string) error {
	if err := p.talk(c, name); err != nil {
		return fmt.Errorf("before TLS: %w", err)
	}
	if n := c.r.Buffered(); n > 0 {
		return fmt.Errorf("before TLS: %d bytes came with the go-ahead: %w", n, ErrInjected)
	}
	return nil
}

// send writes s unchanged.
func (c *chat) send(s string) error {
	_, err := io.WriteString(c.conn, s)
	return err
}

// line reads one line and returns it without its line ending.
func (c *chat) line() (string, error) {
	b, err := c.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", fmt.Errorf("the server sends a line of more than %d bytes", maxLine)
	}
	if err != nil {
		return "", hungUp(err)
	}
	return string(bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))), nil
}

// hungUp replaces io.EOF by an error for an operator.
func hungUp(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the server closed the connection")
	}
	return err
}

// refused returns the error for an unexpected answer. The answer is quoted, so that
// it cannot control a terminal or forge a log line.
func refused(to, answer string) error {
	return fmt.Errorf("%s: the server answers %.200q", to, answer)
}

// smtp: RFC 3207.
func smtp(c *chat, _ string) error {
	if _, err := c.smtpReply("greeting", "220"); err != nil {
		return err
	}
	if err := c.send("EHLO " + c.literal() + "\r\n"); err != nil {
		return err
	}
	extensions, err := c.smtpReply("EHLO", "250")
	if err != nil {
		return err
	}
	for _, e := range extensions {
		if strings.EqualFold(strings.TrimSpace(e), "STARTTLS") {
			if err := c.send("STARTTLS\r\n"); err != nil {
				return err
			}
			_, err := c.smtpReply("STARTTLS", "220")
			return err
		}
	}
	return ErrNoTLS
}

// smtpReply reads one reply, which must have the code, and returns the text of each
// line.
func (c *chat) smtpReply(to, code string) ([]string, error) {
	var texts []string
	for {
		l, err := c.line()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", to, err)
		}
		if !strings.HasPrefix(l, code) || len(l) > 3 && l[3] != ' ' && l[3] != '-' {
			return nil, refused(to, l)
		}
		if len(l) <= 4 {
			texts = append(texts, "")
		} else {
			texts = append(texts, l[4:])
		}
		if len(l) == 3 || l[3] == ' ' {
			return texts, nil
		}
	}
}

// literal returns our address as an address literal (RFC 5321, section 4.1.3): the
// client need not have a name.
func (c *chat) literal() string {
	ap, err := netip.ParseAddrPort(c.conn.LocalAddr().String())
	switch ip := ap.Addr().Unmap().WithZone(""); {
	case err != nil:
		return "[127.0.0.1]"
	case ip.Is6():
		return "[IPv6:" + ip.String() + "]"
	default:
		return "[" + ip.String() + "]"
	}
}

// imap: RFC 9051, section 6.2.1.
func imap(c *chat, _ string) error {
	l, err := c.line()
	if err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	if !hasWord(l, "* OK") {
		return refused("greeting", l)
	}
	if err := c.send("a1 STARTTLS\r\n"); err != nil {
		return err
	}
	for {
		l, err := c.line()
		switch {
		case err != nil:
			return fmt.Errorf("STARTTLS: %w", err)
		case hasWord(l, "a1 OK"):
			return nil
		case !strings.HasPrefix(l, "* ") || hasWord(l, "* BYE"):
			return refused("STARTTLS", l)
		}
	}
}

// pop3: RFC 2595, section 4.
func pop3(c *chat, _ string) error {
	for _, step := range []struct{ to, then string }{{"greeting", "STLS\r\n"}, {"STLS", ""}} {
		l, err := c.line()
		if err != nil {
			return fmt.Errorf("%s: %w", step.to, err)
		}
		if !hasWord(l, "+OK") {
			return refused(step.to, l)
		}
		if step.then == "" {
			break
		}
		if err := c.send(step.then); err != nil {
			return err
		}
	}
	return nil
}

// sieve: RFC 5804, sections 1.7 and 2.2.
func sieve(c *chat, _ string) error {
	startTLS := false
	for {
		l, err := c.line()
		if err != nil {
			return fmt.Errorf("greeting: %w", err)
		}
		if hasWord(l, "OK") {
			break
		}
		if !strings.HasPrefix(l, `"`) {
			return refused("greeting", l)
		}
		startTLS = startTLS || hasWord(l, `"STARTTLS"`)
	}
	if !startTLS {
		return ErrNoTLS
	}
	if err := c.send("STARTTLS\r\n"); err != nil {
		return err
	}
	l, err := c.line()
	if err != nil {
		return fmt.Errorf("STARTTLS: %w", err)
	}
	if !hasWord(l, "OK") {
		return refused("STARTTLS", l)
	}
	return nil
}

// ftp: RFC 4217, section 4.
func ftp(c *chat, _ string) error {
	reply, err := c.ftpReply()
	if err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	if !hasWord(reply, "220") {
		return refused("greeting", reply)
	}
	if err := c.send("AUTH TLS\r\n"); err != nil {
		return err
	}
	reply, err = c.ftpReply()
	switch {
	case err != nil:
		return fmt.Errorf("AUTH TLS: %w", err)
	case hasWord(reply, "234"):
		return nil
	case hasWord(reply, "500"), hasWord(reply, "502"), hasWord(reply, "504"):
		return ErrNoTLS
	}
	return refused("AUTH TLS", reply)
}

// ftpReply reads one reply and returns its last line. Lines between the first and the last
// may be of any form (RFC 959, section 4.2).
func (c *chat) ftpReply() (string, error) {
	first, err := c.line()
	if err != nil || len(first) < 4 || first[3] != '-' {
		return first, err
	}
	for {
		if l, err := c.line(); err != nil || hasWord(l, first[:3]) {
			return l, err
		}
	}
}

// hasWord reports whether the first word of line is word, in any case.
func hasWord(line, word string) bool {
	return len(line) >= len(word) && strings.EqualFold(line[:len(word)], word) &&
		(len(line) == len(word) || line[len(word)] == ' ')
}
