package keypair

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
)

// splitPEM takes data apart into PEM blocks (RFC 7468). Unlike pem.Decode it
// passes over nothing: RFC 8555, section 9.1 allows no text around the blocks,
// and a block cut short must not look like the end of the file. White space
// between blocks and either kind of line end are fine.
func splitPEM(data []byte) ([]*pem.Block, error) {
	var blocks []*pem.Block
	for rest := bytes.TrimLeft(data, space); len(rest) > 0; rest = bytes.TrimLeft(rest, space) {
		line := 1 + bytes.Count(data[:len(data)-len(rest)], []byte("\n"))
		if !bytes.HasPrefix(rest, []byte(begin)) {
			return nil, fmt.Errorf("line %d is outside of any PEM block", line)
		}
		n := blockLen(rest)
		if n == 0 {
			return nil, fmt.Errorf("PEM block at line %d has no end: truncated", line)
		}
		block, after := pem.Decode(rest[:n])
		if block == nil || len(bytes.TrimLeft(after, space)) > 0 || bytes.Count(rest[:n], []byte(begin)) != 1 {
			return nil, fmt.Errorf("PEM block at line %d cannot be read", line)
		}
		blocks = append(blocks, block)
		rest = rest[n:]
	}
	if len(blocks) == 0 {
		return nil, errors.New("empty")
	}
	return blocks, nil
}

const (
	space = " \t\r\n"
	begin = "-----BEGIN "
)

// blockLen is the length of the PEM block that data begins with, up to the end
// of its last line; 0 if it has no last line.
func blockLen(data []byte) int {
	end := bytes.Index(data, []byte("\n-----END "))
	if end < 0 {
		return 0
	}
	if eol := bytes.IndexByte(data[end+1:], '\n'); eol >= 0 {
		return end + 1 + eol + 1
	}
	return len(data)
}
