package envelope

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"filippo.io/age"

	"keypaird/renew/problem"
)

// An Identity contains the private keys of one node, to decrypt and to sign with. There are
// two of each while the node's key is exchanged; then it signs with both and decrypts with
// either, so that the other nodes may learn of the new one in any order.
type Identity struct {
	pairs  []pair   // the newest last; one or two
	places sync.Map // of this node among those that something was sealed to, by how many they were
}

// A pair is one age identity with one key to sign with.
type pair struct {
	age  *age.X25519Identity
	sign ed25519.PrivateKey
}

func (p pair) public() Public {
	return newPublic(p.age.Recipient(), p.sign.Public().(ed25519.PublicKey))
}

// Generate returns a new identity.
func Generate() (*Identity, error) {
	p, err := newPair()
	if err != nil {
		return nil, err
	}
	return &Identity{pairs: []pair{p}}, nil
}

func newPair() (pair, error) {
	decrypt, err := age.GenerateX25519Identity()
	if err != nil {
		return pair{}, fmt.Errorf("making a key: %w", err)
	}
	_, sign, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return pair{}, fmt.Errorf("making a key: %w", err)
	}
	return pair{decrypt, sign}, nil
}

// Rotate returns the identity with a second, new pair of keys.
func (i *Identity) Rotate() (*Identity, error) {
	if len(i.pairs) > 1 {
		return nil, errors.New("the node's key is being exchanged already")
	}
	p, err := newPair()
	if err != nil {
		return nil, err
	}
	return &Identity{pairs: append(slices.Clone(i.pairs), p)}, nil
}

// Newest returns the identity without the older keys.
func (i *Identity) Newest() *Identity { return &Identity{pairs: i.pairs[len(i.pairs)-1:]} }

// Public returns the public half of the newest keys.
func (i *Identity) Public() Public { return i.pairs[len(i.pairs)-1].public() }

// Publics returns the public halves of all keys, the newest last.
func (i *Identity) Publics() []Public {
	list := make([]Public, len(i.pairs))
	for n, p := range i.pairs {
		list[n] = p.public()
	}
	return list
}

// String returns the public half, so that logs cannot have another.
func (i *Identity) String() string { return i.Public().String() }

const (
	begin   = "-----BEGIN KEYPAIRD NODE KEY-----"
	end     = "-----END KEYPAIRD NODE KEY-----"
	seedTag = "ed25519-seed:"
)

// Marshal returns the identity as text, a block for each pair of keys.
func (i *Identity) Marshal() []byte {
	var b bytes.Buffer
	for _, p := range i.pairs {
		seed := base64.RawStdEncoding.EncodeToString(p.sign.Seed())
		fmt.Fprintf(&b, "# public half, for [fleet.nodes]:\n# %v\n%s\n%v\n%s%s\n%s\n", p.public(), begin, p.age, seedTag, seed, end)
	}
	return b.Bytes()
}

// parseIdentity reads what Marshal returned. Its errors do not repeat the text.
func parseIdentity(data []byte) (*Identity, error) {
	var lines []string
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	if len(lines) != 4 && len(lines) != 8 {
		return nil, identityError("it does not consist of one key or two")
	}
	i := &Identity{}
	for block := range slices.Chunk(lines, 4) {
		p, err := parsePair(block)
		if err != nil {
			return nil, err
		}
		i.pairs = append(i.pairs, p)
	}
	if len(i.pairs) == 2 && i.pairs[0].public() == i.pairs[1].public() {
		return nil, identityError("it has one key twice")
	}
	return i, nil
}

func parsePair(block []string) (pair, error) {
	if block[0] != begin || block[3] != end {
		return pair{}, identityError("a line BEGIN or END is missing")
	}
	decrypt, err := age.ParseX25519Identity(block[1])
	if err != nil {
		return pair{}, identityError("the line AGE-SECRET-KEY is damaged")
	}
	text, ok := strings.CutPrefix(block[2], seedTag)
	seed, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if !ok || err != nil || len(seed) != ed25519.SeedSize {
		return pair{}, identityError("the line " + seedTag + " is damaged")
	}
	return pair{decrypt, ed25519.NewKeyFromSeed(seed)}, nil
}

func identityError(why string) error {
	return problem.New("not a node's key: "+why,
		"restore it from a backup; without one, rename it, run keypaird fleet key, and put the new line into [fleet.nodes] on every node")
}

// Unseal decrypts what was sealed to this node.
func (i *Identity) Unseal(sealed []byte) ([]byte, error) {
	if len(sealed) > MaxValue {
		return nil, problem.Newf(sealRemedy, "the sealed value is larger than %d KiB", MaxValue>>10)
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), placed{i})
	if _, other := errors.AsType[*age.NoIdentityMatchError](err); other {
		return nil, problem.New("it is not sealed to this node's key", "keypaird fleet key prints the line of this node: have it in [fleet.nodes] of the nodes in order")
	}
	if err != nil {
		return nil, problem.New("the sealed value is damaged", sealRemedy)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, problem.New("the sealed value is damaged", sealRemedy)
	}
	return plain, nil
}

// A placed is an identity that looks first where it was the last time: among two hundred
// nodes, to try one after the other takes longer than all else that is done with a pair.
type placed struct{ *Identity }

// Unwrap implements age.Identity.
func (p placed) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	last, known := p.places.Load(len(stanzas))
	if known {
		if key, err := p.unwrap(stanzas[last.(int)]); err == nil {
			return key, nil
		}
	}
	for at, stanza := range stanzas {
		key, err := p.unwrap(stanza)
		if err == nil {
			p.places.Store(len(stanzas), at)
		}
		if !errors.Is(err, age.ErrIncorrectIdentity) {
			return key, err
		}
	}
	return nil, age.ErrIncorrectIdentity
}

// unwrap returns the key in a stanza that is for one of the node's keys.
func (i *Identity) unwrap(stanza *age.Stanza) (key []byte, err error) {
	for _, p := range i.pairs {
		if key, err = p.age.Unwrap([]*age.Stanza{stanza}); !errors.Is(err, age.ErrIncorrectIdentity) {
			return key, err
		}
	}
	return nil, err
}

const sealRemedy = "if it stays so, restart keypaird on the node in the seat: it writes missing values again"
