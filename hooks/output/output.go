package output

import (
	"bytes"
	"encoding/pem"
	"io/fs"
	"slices"

	"keypaird/hooks/standin"
	"keypaird/renew/keypair"
	"keypaird/renew/keypair/pkcs12"
)

// A Kind is one kind of file that a deployment writes for each target.
type Kind struct {
	Purpose  string // key, chain, combined, leaf, intermediates or pkcs12
	Template string // its path, with {name} for the target's name
	Mode     fs.FileMode

	Encryption pkcs12.Encryption // of pkcs12
}

// Data returns the file for p; the password is for pkcs12.
func (k Kind) Data(p *keypair.Pair, password string) ([]byte, error) {
	if k.Purpose == "pkcs12" {
		return pkcs12.Encode(p, password, k.Encryption)
	}
	return k.text(p), nil
}

// text returns the file for p; nil: it is no text.
func (k Kind) text(p *keypair.Pair) []byte {
	switch k.Purpose {
	case "key":
		return p.Key()
	case "chain":
		return p.FullChain()
	case "combined":
		return p.Combined()
	case "leaf":
		return p.Cert()
	case "intermediates":
		return p.ChainPEM()
	}
	return nil
}

// Holds reports whether data, which another program may have written, holds the part of p
// that the file is for, in whatever encoding.
func (k Kind) Holds(data []byte, p *keypair.Pair) bool {
	if k.Purpose == "pkcs12" {
		return pkcs12.Names(data, p.Leaf)
	}
	if k.Purpose == "key" || k.Purpose == "combined" {
		if q := parse(p.FullChain(), data); q == nil || q.Fingerprint() != p.Fingerprint() {
			return false
		}
	}
	return k.Purpose == "key" || bytes.Equal(certificates(data), certificates(k.text(p)))
}

// Pair returns the pair in files with these contents, in the order of kinds; nil unless all
// hold the same one. A PKCS#12 file holds one of those that are known, or none: it is not
// decrypted.
func Pair(kinds []Kind, contents [][]byte, password string, known ...*keypair.Pair) *keypair.Pair {
	data := map[string][]byte{}
	for i, k := range kinds {
		data[k.Purpose] = contents[i]
	}
	has := func(purpose string) bool { _, ok := data[purpose]; return ok }
	chain := data["chain"]
	if !has("chain") && has("leaf") && has("intermediates") {
		chain = slices.Concat(data["leaf"], []byte("\n"), data["intermediates"])
	}
	var pairs []*keypair.Pair
	if has("key") && chain != nil {
		pairs = append(pairs, parse(chain, data["key"]))
	} else if (has("key") || has("chain")) && !has("combined") && !has("pkcs12") {
		return nil // half a pair proves nothing
	}
	if has("combined") {
		pairs = append(pairs, parse(data["combined"], data["combined"]))
	}
	if i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Purpose == "pkcs12" }); i >= 0 {
		pairs = append(pairs, kinds[i].among(slices.Concat(pairs, known), contents[i], password))
	}
	for _, p := range pairs {
		if p == nil || p.Fingerprint() != pairs[0].Fingerprint() ||
			has("leaf") && !bytes.Equal(certificates(data["leaf"]), p.Cert()) ||
			has("intermediates") && !bytes.Equal(certificates(data["intermediates"]), p.ChainPEM()) {
			return nil
		}
	}
	if len(pairs) == 0 || standin.Is(pairs[0].Leaf) { // nothing goes back to a stand-in
		return nil
	}
	return pairs[0]
}

// among returns the pair in a list from which a file was made, or nil.
func (k Kind) among(pairs []*keypair.Pair, content []byte, password string) *keypair.Pair {
	for _, p := range pairs {
		if p == nil {
			continue
		}
		if data, err := k.Data(p, password); err == nil && bytes.Equal(data, content) {
			return p
		}
	}
	return nil
}

// parse reads a pair from files of another program, which may contain more.
func parse(chain, key []byte) *keypair.Pair {
	p, err := keypair.Parse(certificates(chain), blocks(key, "PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"))
	if err != nil {
		return nil
	}
	return p
}

// certificates returns the certificates in data.
func certificates(data []byte) []byte { return blocks(data, "CERTIFICATE") }

// blocks returns the PEM blocks of some types in data.
func blocks(data []byte, types ...string) []byte {
	var out []byte
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if slices.Contains(types, block.Type) {
			out = append(out, pem.EncodeToMemory(block)...)
		}
	}
	return out
}
