package envelope

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"filippo.io/age"

	"keypaird/renew/problem"
)

// A Public is the public half of a node's key: one line of [fleet.nodes]. Two of one
// key are equal by ==.
type Public struct {
	recipient string // age1...
	verify    [ed25519.PublicKeySize]byte
}

func newPublic(r *age.X25519Recipient, verify ed25519.PublicKey) Public {
	return Public{r.String(), [ed25519.PublicKeySize]byte(verify)}
}

const (
	verifyTag = "ed25519:"
	sumSize   = 4 // bytes of the checksum behind the ed25519 key
)

// sum returns a checksum over both halves, which age has for its own only: it finds a typing
// error, and halves of different nodes.
func (p Public) sum() []byte {
	sum := sha256.Sum256(append([]byte("keypaird node "+p.recipient+" "), p.verify[:]...))
	return sum[:sumSize]
}

// String returns the line.
func (p Public) String() string {
	return p.recipient + " " + verifyTag + base64.RawStdEncoding.EncodeToString(append(p.verify[:], p.sum()...))
}

const publicRemedy = "copy the whole line that keypaird fleet key prints on that node"

// ParsePublic reads what String returned.
func ParsePublic(s string) (Public, error) {
	fields := strings.Fields(s)
	if len(fields) != 2 || strings.Contains(s, "...") || !strings.HasPrefix(fields[0], "age1") || !strings.HasPrefix(fields[1], verifyTag) {
		if strings.Contains(s, "AGE-SECRET-KEY") || strings.Contains(s, seedTag) {
			return Public{}, problem.New("is the private half of a key", publicRemedy+", and rotate this one: others may have seen it")
		}
		return Public{}, problem.New("is not the public half of a node's key: age1... "+verifyTag+"...", publicRemedy)
	}
	recipient, err := age.ParseX25519Recipient(fields[0])
	if err == nil {
		_, err = recipient.Wrap(make([]byte, 16)) // fails for points of low order
	}
	if err != nil {
		return Public{}, problem.New("has a damaged age1 part", publicRemedy)
	}
	data, err := base64.RawStdEncoding.Strict().DecodeString(strings.TrimPrefix(fields[1], verifyTag))
	if err != nil || len(data) != ed25519.PublicKeySize+sumSize {
		return Public{}, problem.New("has a damaged "+verifyTag+" part", publicRemedy)
	}
	p := newPublic(recipient, data[:ed25519.PublicKeySize])
	if !bytes.Equal(p.sum(), data[ed25519.PublicKeySize:]) {
		return Public{}, problem.New("is damaged, or its two parts are of two keys", publicRemedy)
	}
	return p, nil
}

// Members are the public halves by node: two of a node while its key is exchanged.
type Members map[string][]Public

// Publics returns the public halves of some nodes, to seal to. A node that is no member
// is an error.
func (m Members) Publics(nodes []string) ([]Public, error) {
	var list []Public
	for _, node := range nodes {
		if len(m[node]) == 0 {
			return nil, problem.Newf("add the line that keypaird fleet key prints on that node, or take the node out of nodes and order", "[fleet.nodes] has no node %q", node)
		}
		list = append(list, m[node]...)
	}
	return list, nil
}

// Node returns the node that has the public half p, or "".
func (m Members) Node(p Public) string {
	for _, node := range slices.Sorted(maps.Keys(m)) {
		if slices.Contains(m[node], p) {
			return node
		}
	}
	return ""
}

// Seal encrypts to each of the public halves.
func Seal(plain []byte, to []Public) ([]byte, error) {
	var recipients []age.Recipient
	for n, p := range to {
		if slices.Contains(to[:n], p) {
			continue
		}
		r, err := age.ParseX25519Recipient(p.recipient)
		if err != nil {
			return nil, fmt.Errorf("sealing: %w", err)
		}
		recipients = append(recipients, r)
	}
	var b bytes.Buffer
	w, err := age.Encrypt(&b, recipients...)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	if _, err := io.Copy(w, bytes.NewReader(plain)); err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return b.Bytes(), nil
}
