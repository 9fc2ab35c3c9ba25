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
	spans, err := spansPEM(data)
	if err != nil {
		return nil, err
	}
	blocks := make([]*pem.Block, len(spans))
	for i, span := range spans {
		if blocks[i], err = decodePEM(span); err != nil {
			return nil, fmt.Errorf("PEM block %d %w", i+1, err)
		}
	}
	return blocks, nil
}

// spansPEM finds where the blocks are without decoding them.
func spansPEM(data []byte) ([][]byte, error) {
	var spans [][]byte
	for rest := bytes.TrimLeft(data, space); len(rest) > 0; rest = bytes.TrimLeft(rest, space) {
		if !bytes.HasPrefix(rest, []byte(begin)) {
			return nil, fmt.Errorf("line %d is outside of any PEM block", line(data, rest))
		}
		end := bytes.Index(rest, []byte("\n-----END "))
		if end < 0 {
			return nil, fmt.Errorf("PEM block at line %d has no end: truncated", line(data, rest))
		}
		n := len(rest)
		if eol := bytes.IndexByte(rest[end+1:], '\n'); eol >= 0 {
			n = end + 1 + eol + 1
		}
		spans = append(spans, rest[:n])
		rest = rest[n:]
	}
	if len(spans) == 0 {
		return nil, errors.New("empty")
	}
	return spans, nil
}

// decodePEM decodes what has to be exactly one block.
func decodePEM(span []byte) (*pem.Block, error) {
	block, after := pem.Decode(span)
	if block == nil || len(bytes.TrimLeft(after, space)) > 0 || bytes.Count(span, []byte(begin)) != 1 {
		return nil, errors.New("cannot be read")
	}
	return block, nil
}

// line is the number of the line of data that rest, its end, begins with.
func line(data, rest []byte) int {
	return 1 + bytes.Count(data[:len(data)-len(rest)], []byte("\n"))
}

const (
	space = " \t\r\n"
	begin = "-----BEGIN "
)
