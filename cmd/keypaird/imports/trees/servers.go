package trees

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"path/filepath"
	"strings"

	"keypaird/renew/problem"
)

// Caddy and mod_md are servers that renew by themselves: their files are theirs, and the
// server is to read keypaird's.

// readCaddy reads Caddy's data directory.
func readCaddy(r *root, t *Tree) error {
	t.Back = "remove the tls lines from the Caddyfile and reload Caddy, then remove keypaird's service: Caddy's certificates are as they were"
	cas, err := r.names("certificates")
	if err != nil {
		return err
	}
	for _, ca := range cas {
		if ca == "local" {
			t.note(ca, "", "Caddy's own CA is not taken over")
			continue
		}
		dirs, _ := r.names(filepath.Join("certificates", ca))
		for _, name := range dirs {
			caddyCertificate(r, t, ca, name)
		}
	}
	t.note("", `set deploy = ["caddy"] in each [cert], then: keypaird issue; then write into each site: tls /etc/caddy/NAME.crt /etc/caddy/NAME.key, as keypaird deploy -list caddy shows`,
		"Caddy renews its certificates itself until its sites name others, and cannot read the state directory")
	return nil
}

func caddyCertificate(r *root, t *Tree, ca, name string) {
	file := func(ending string) string { return filepath.Join("certificates", ca, name, name+ending) }
	if !r.has(file(".crt")) {
		return
	}
	cert := &Certificate{Name: strings.Replace(name, "wildcard_.", "*.", 1), Pair: t.pair(r, name, file(".crt"), file(".key"))}
	if cert.Pair == nil {
		return
	}
	var info struct {
		Issuer struct {
			URL string `json:"url"`
			CA  string `json:"ca"`
		} `json:"issuer_data"`
	}
	if r.readJSON(file(".json"), &info) == nil {
		cert.Directory, cert.Host = info.Issuer.CA, hostOf(info.Issuer.URL)
	}
	cert.Account = caddyAccount(r, t, ca, cert)
	t.guessChallenges(cert, "Caddy", "Caddy's DNS module")
	t.Certificates = append(t.Certificates, cert)
}

// caddyAccount returns the first account at a CA; nil if there is none.
func caddyAccount(r *root, t *Tree, ca string, cert *Certificate) *Account {
	if a := t.account(ca); a != nil {
		return a
	}
	users, _ := r.names(filepath.Join("acme", ca, "users"))
	for _, user := range users {
		dir := filepath.Join("acme", ca, "users", user)
		files, _ := r.names(dir)
		for _, file := range files {
			name, ok := strings.CutSuffix(file, ".json")
			if !ok {
				continue
			}
			var info struct {
				Location string
				Contact  []string
			}
			a := &Account{ID: ca, Directory: cert.Directory, Host: cert.Host}
			if err := r.readJSON(filepath.Join(dir, file), &info); err != nil {
				t.fault(ca, r.at(filepath.Join(dir, file)), 0, err)
				return nil
			}
			if a.URL, a.Email = info.Location, mailOf(info.Contact); !t.key(r, a, filepath.Join(dir, name+".key")) {
				return nil
			}
			t.Accounts = append(t.Accounts, a)
			if len(users) > 1 {
				t.note(cert.Name, "if CAA records name another account, move that one's directory away for the import", "Caddy has several accounts at %s: %s is taken", ca, a.URL)
			}
			return a
		}
	}
	return nil
}

// readModMD reads the store of Apache's mod_md.
func readModMD(r *root, t *Tree) error {
	t.Back = "put MDomain back in place of the SSLCertificateFile lines and reload Apache, then remove keypaird's service: the store of mod_md is as it was"
	t.note("", "write SSLCertificateFile and SSLCertificateKeyFile into each virtual host in place of MDomain, as the preset apache shows; then set deploy = [\"apache\"]",
		"mod_md renews its certificates itself until the virtual hosts name others")
	var store struct{ Key string }
	if err := r.readJSON("md_store.json", &store); err != nil {
		t.fault("", r.at("md_store.json"), 0, err)
		return nil
	}
	phrase, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(store.Key, "="))
	if err != nil {
		t.fault("", r.at("md_store.json"), 0, problem.New("its key is not base64url", "restore it from a backup"))
		return nil
	}
	names, err := r.names("domains")
	if err != nil {
		return err
	}
	for _, name := range names {
		modMDDomain(r, t, name, phrase)
	}
	return nil
}

// modMDDomain reads the certificates of one managed domain.
func modMDDomain(r *root, t *Tree, domain string, phrase []byte) {
	dir := filepath.Join("domains", domain)
	var md struct {
		CA struct {
			Account string
			URL     json.RawMessage
			URLs    []string
		}
		Contacts []string
	}
	if err := r.readJSON(filepath.Join(dir, "md.json"), &md); err != nil {
		t.fault(domain, r.at(filepath.Join(dir, "md.json")), 0, err)
		return
	}
	var url string
	_ = json.Unmarshal(md.CA.URL, &url) // or there are several
	if url == "" && len(md.CA.URLs) > 0 {
		url = md.CA.URLs[0]
	}
	account := modMDAccount(r, t, md.CA.Account, phrase)
	files, _ := r.names(dir)
	for _, file := range files {
		middle, ok := strings.CutSuffix(strings.TrimPrefix(file, "pubcert"), ".pem")
		if !ok || !strings.HasPrefix(file, "pubcert") {
			continue
		}
		cert := &Certificate{Name: domain + strings.Replace(middle, ".", "-", 1), Account: account, Directory: url}
		if account != nil {
			cert.Directory = account.Directory
		}
		if cert.Pair = t.pair(r, cert.Name, filepath.Join(dir, file), filepath.Join(dir, "privkey"+middle+".pem")); cert.Pair == nil {
			continue
		}
		if bytes.Equal(cert.Pair.Leaf.RawIssuer, cert.Pair.Leaf.RawSubject) {
			continue // a stand-in of mod_md
		}
		t.guessChallenges(cert, "mod_md", "MDChallengeDns01")
		t.Certificates = append(t.Certificates, cert)
	}
}

// modMDAccount returns the account called id; nil if there is none.
func modMDAccount(r *root, t *Tree, id string, phrase []byte) *Account {
	if a := t.account(id); a != nil || id == "" {
		return a
	}
	dir := filepath.Join("accounts", id)
	var info struct {
		URL     string
		CAURL   string `json:"ca-url"`
		Contact []string
	}
	a := &Account{ID: id, File: r.at(filepath.Join(dir, "account.pem"))}
	err := r.readJSON(filepath.Join(dir, "account.json"), &info)
	var data []byte
	if err == nil {
		data, err = r.read(filepath.Join(dir, "account.pem"), maxFile)
	}
	if err == nil {
		a.Key, err = decryptKey(data, phrase)
	}
	if err != nil {
		t.fault(cmp.Or(id, "account"), a.File, 0, err)
		return nil
	}
	a.URL, a.Directory, a.Email = info.URL, info.CAURL, mailOf(info.Contact)
	t.Accounts = append(t.Accounts, a)
	return a
}

// An encryptedKey is a key in PKCS#8 that is encrypted by PBES2 (RFC 8018).
type encryptedKey struct {
	Algorithm struct {
		ID     asn1.ObjectIdentifier
		Params struct {
			KDF struct {
				ID     asn1.ObjectIdentifier
				Params struct {
					Salt       []byte
					Iterations int
					Length     int `asn1:"optional"`
					PRF        struct {
						ID   asn1.ObjectIdentifier
						Null asn1.RawValue `asn1:"optional"`
					} `asn1:"optional"`
				}
			}
			Cipher struct {
				ID asn1.ObjectIdentifier
				IV []byte
			}
		}
	}
	Data []byte
}

// usual reports whether the algorithms are those that OpenSSL chooses: PBKDF2, HMAC with
// SHA-256 and AES-256-CBC.
func (k *encryptedKey) usual() bool {
	kdf, enc := k.Algorithm.Params.KDF, k.Algorithm.Params.Cipher
	return k.Algorithm.ID.String() == "1.2.840.113549.1.5.13" && kdf.ID.String() == "1.2.840.113549.1.5.12" &&
		kdf.Params.PRF.ID.String() == "1.2.840.113549.2.9" && enc.ID.String() == "2.16.840.1.101.3.4.1.42" &&
		kdf.Params.Iterations > 0 && kdf.Params.Iterations <= 10_000_000 && len(enc.IV) == aes.BlockSize &&
		len(k.Data) > 0 && len(k.Data)%aes.BlockSize == 0
}

// decryptKey decrypts a key of mod_md.
func decryptKey(data, phrase []byte) (crypto.Signer, error) {
	bad := problem.New("is not a private key that md_store.json decrypts", "restore both from a backup")
	block, _ := pem.Decode(data)
	var k encryptedKey
	if block == nil || block.Type != "ENCRYPTED PRIVATE KEY" {
		return nil, bad
	}
	if rest, err := asn1.Unmarshal(block.Bytes, &k); err != nil || len(rest) > 0 || !k.usual() {
		return nil, bad
	}
	kdf := k.Algorithm.Params.KDF.Params
	key, err := pbkdf2.Key(sha256.New, string(phrase), kdf.Salt, kdf.Iterations, 32)
	if err != nil {
		return nil, errors.Join(bad, err)
	}
	c, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, len(k.Data))
	cipher.NewCBCDecrypter(c, k.Algorithm.Params.Cipher.IV).CryptBlocks(plain, k.Data)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > aes.BlockSize {
		return nil, bad
	}
	parsed, err := x509.ParsePKCS8PrivateKey(plain[:len(plain)-pad])
	signer, ok := parsed.(crypto.Signer)
	if err != nil || !ok {
		return nil, bad
	}
	return signer, nil
}

// guessChallenges gives a certificate the challenges that a server most likely has for its names:
// it does not say which. One of its modules validates wildcards.
func (t *Tree) guessChallenges(cert *Certificate, server, module string) {
	for _, n := range cert.Pair.Names() {
		ch := Challenge{Name: n, Type: "http-01"}
		if strings.HasPrefix(n, "*.") {
			ch.Type = "dns-persist-01"
			t.byHook(cert.Name, n, module)
		} else {
			ch.Unclear, ch.Server = true, server
		}
		cert.Challenges = append(cert.Challenges, ch)
	}
}
