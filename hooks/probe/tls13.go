package probe

import (
	"bytes"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // of signatures
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
)

// crypto/tls always sends all signature algorithms, by which a server with several
// certificates chooses (RFC 8446, section 4.2.3). For servers without TLS 1.2, this is
// as much of a TLS 1.3 client as shows the certificate of one key type, and that the
// server holds its key: one group, one cipher suite, no data.

var errTLS13 = errors.New("no TLS 1.3 handshake with this key type")

// Signature algorithms by key type.
var schemes = map[x509.PublicKeyAlgorithm][]uint16{
	x509.ECDSA: {0x0403, 0x0503, 0x0603},
	x509.RSA:   {0x0804, 0x0805, 0x0806},
}

var schemeHashes = map[uint16]crypto.Hash{
	0x0403: crypto.SHA256, 0x0503: crypto.SHA384, 0x0603: crypto.SHA512, 0x0804: crypto.SHA256, 0x0805: crypto.SHA384, 0x0806: crypto.SHA512,
}

// vec returns data behind its length in n bytes.
func vec(n int, data ...[]byte) []byte {
	all := bytes.Join(data, nil)
	size := binary.BigEndian.AppendUint64(nil, uint64(len(all)))
	return append(size[8-n:], all...)
}

func u16(list ...uint16) []byte {
	var b []byte
	for _, v := range list {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return b
}

// clientHello returns a ClientHello that accepts certificates of one key type.
func clientHello(name string, alpn []string, keyType x509.PublicKeyAlgorithm, share []byte) []byte {
	var extensions []byte
	add := func(id uint16, data []byte) { extensions = append(extensions, append(u16(id), vec(2, data)...)...) }
	if _, err := netip.ParseAddr(name); err != nil && name != "" {
		add(0, vec(2, []byte{0}, vec(2, []byte(name))))
	}
	if len(alpn) > 0 {
		var list []byte
		for _, p := range alpn {
			list = append(list, vec(1, []byte(p))...)
		}
		add(16, vec(2, list))
	}
	add(10, vec(2, u16(29))) // x25519
	add(13, vec(2, u16(schemes[keyType]...)))
	add(50, vec(2, u16(append([]uint16{0x0401, 0x0501, 0x0601}, schemes[x509.ECDSA]...)...))) // of the certificates
	add(43, vec(1, u16(0x0304)))
	add(51, vec(2, u16(29), vec(2, share)))
	random, session := make([]byte, 32), make([]byte, 32)
	rand.Read(random)
	rand.Read(session)
	body := bytes.Join([][]byte{u16(0x0303), random, vec(1, session), vec(2, u16(0x1301)), {1, 0}, vec(2, extensions)}, nil)
	return append([]byte{1}, vec(3, body)...)
}

// A reader13 reads handshake messages.
type reader13 struct {
	conn net.Conn
	open func(header, data []byte) ([]byte, error) // decrypts a record; nil: not encrypted yet
	rest []byte
}

// message returns the next handshake message, with its header.
func (r *reader13) message() ([]byte, error) {
	for {
		if len(r.rest) >= 4 {
			if n := 4 + int(r.rest[1])<<16 + int(r.rest[2])<<8 + int(r.rest[3]); len(r.rest) >= n {
				m := r.rest[:n:n]
				r.rest = r.rest[n:]
				return m, nil
			}
		}
		header := make([]byte, 5)
		if _, err := io.ReadFull(r.conn, header); err != nil {
			return nil, err
		}
		data := make([]byte, binary.BigEndian.Uint16(header[3:]))
		if _, err := io.ReadFull(r.conn, data); err != nil {
			return nil, err
		}
		kind := header[0]
		if kind == 20 { // change cipher spec, for middleboxes
			continue
		}
		if r.open != nil {
			plain, err := r.open(header, data)
			if err != nil {
				return nil, err
			}
			plain = bytes.TrimRight(plain, "\x00")
			if kind != 23 || len(plain) == 0 {
				return nil, errTLS13
			}
			kind, data = plain[len(plain)-1], plain[:len(plain)-1]
		}
		if kind != 22 {
			return nil, errTLS13
		}
		r.rest = append(r.rest, data...)
	}
}

// expand is HKDF-Expand-Label (RFC 8446, section 7.1).
func expand(secret []byte, label string, context []byte, n int) []byte {
	info := bytes.Join([][]byte{u16(uint16(n)), vec(1, []byte("tls13 "+label)), vec(1, context)}, nil)
	out, _ := hkdf.Expand(sha256.New, secret, string(info), n) // n is in its limits
	return out
}

// opener returns what decrypts the server's handshake records.
func opener(shared, transcript []byte) (func(header, data []byte) ([]byte, error), error) {
	zero, empty, hash := make([]byte, 32), sha256.Sum256(nil), sha256.Sum256(transcript)
	early, err := hkdf.Extract(sha256.New, zero, nil)
	if err != nil {
		return nil, err
	}
	secret, err := hkdf.Extract(sha256.New, shared, expand(early, "derived", empty[:], 32))
	if err != nil {
		return nil, err
	}
	traffic := expand(secret, "s hs traffic", hash[:], 32)
	block, err := aes.NewCipher(expand(traffic, "key", nil, 16))
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	iv, n := expand(traffic, "iv", nil, 12), uint64(0)
	return func(header, data []byte) ([]byte, error) {
		nonce := bytes.Clone(iv)
		for i := range 8 {
			nonce[4+i] ^= byte(n >> (56 - 8*i))
		}
		n++
		return aead.Open(nil, nonce, data, header)
	}, nil
}

// handshake13 returns the chain that the server has for clients that accept only
// certificates of keyType, and checks that it holds the key.
func handshake13(ctx context.Context, conn net.Conn, name string, alpn []string, keyType x509.PublicKeyAlgorithm) (chain []*x509.Certificate, err error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	hello := clientHello(name, alpn, keyType, key.PublicKey().Bytes())
	if _, err := conn.Write(append([]byte{22, 3, 1}, vec(2, hello)...)); err != nil {
		return nil, err
	}
	r := &reader13{conn: conn}
	answer, err := r.message()
	if err != nil {
		return nil, err
	}
	share, err := serverShare(answer)
	if err != nil {
		return nil, err
	}
	shared, err := key.ECDH(share)
	if err != nil {
		return nil, err
	}
	transcript := append(hello, answer...)
	if r.open, err = opener(shared, transcript); err != nil {
		return nil, err
	}
	for ctx.Err() == nil {
		m, err := r.message()
		if err != nil {
			return nil, err
		}
		switch m[0] {
		case 11:
			if chain, err = certificates(m[4:]); err != nil {
				return nil, err
			}
		case 15:
			if len(chain) == 0 || !holdsKey(chain[0], m[4:], transcript) {
				return nil, errTLS13
			}
			return chain, nil
		}
		transcript = append(transcript, m...)
	}
	return nil, ctx.Err()
}

// A parser13 reads the fields of a message; after an error they are empty.
type parser13 struct {
	b   []byte
	bad bool
}

func (p *parser13) take(n int) []byte {
	if p.bad = p.bad || len(p.b) < n; p.bad {
		return make([]byte, n&0xff)
	}
	out := p.b[:n]
	p.b = p.b[n:]
	return out
}

// vec returns data behind its length in n bytes.
func (p *parser13) vec(n int) []byte {
	size := 0
	for _, b := range p.take(n) {
		size = size<<8 | int(b)
	}
	return p.take(size)
}

// serverShare returns the key share of a ServerHello.
func serverShare(m []byte) (*ecdh.PublicKey, error) {
	p := &parser13{b: m}
	kind := p.take(1)[0]
	p.b = p.vec(3)
	p.take(2 + 32)
	p.vec(1)
	suite := binary.BigEndian.Uint16(p.take(2))
	p.take(1)
	extensions := &parser13{b: p.vec(2)}
	var share []byte
	for len(extensions.b) > 0 && !extensions.bad {
		id, data := binary.BigEndian.Uint16(extensions.take(2)), extensions.vec(2)
		if id == 51 && len(data) > 4 && binary.BigEndian.Uint16(data) == 29 {
			share = data[4:]
		}
	}
	if kind != 2 || p.bad || extensions.bad || suite != 0x1301 || share == nil { // or a request for another group
		return nil, errTLS13
	}
	return ecdh.X25519().NewPublicKey(share)
}

// certificates returns the chain of a Certificate message.
func certificates(b []byte) (chain []*x509.Certificate, err error) {
	p := &parser13{b: b}
	p.vec(1)
	list := &parser13{b: p.vec(3)}
	for len(list.b) > 0 && !list.bad {
		c, err := x509.ParseCertificate(list.vec(3))
		if err != nil {
			return nil, err
		}
		list.vec(2)
		chain = append(chain, c)
	}
	if p.bad || list.bad || len(chain) == 0 {
		return nil, errTLS13
	}
	return chain, nil
}

// holdsKey reports whether a CertificateVerify message is signed by the leaf's key.
func holdsKey(leaf *x509.Certificate, b, transcript []byte) bool {
	p := &parser13{b: b}
	hash, signature := schemeHashes[binary.BigEndian.Uint16(p.take(2))], p.vec(2)
	if p.bad || hash == 0 {
		return false
	}
	sum := sha256.Sum256(transcript)
	h := hash.New()
	h.Write(bytes.Repeat([]byte{' '}, 64))
	h.Write([]byte("TLS 1.3, server CertificateVerify\x00"))
	h.Write(sum[:])
	switch key := leaf.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, h.Sum(nil), signature)
	case *rsa.PublicKey:
		return rsa.VerifyPSS(key, hash, h.Sum(nil), signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	}
	return false
}
