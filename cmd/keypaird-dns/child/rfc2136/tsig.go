package rfc2136

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/miekg/dns"

	"keypaird/renew/problem"
)

// A tsigKey signs updates, RFC 8945.
type tsigKey struct {
	name, algorithm string // canonical
	secret          string // base64
}

func newTSIGKey() (tsigKey, error) {
	k := tsigKey{name: variable("TSIG_KEY"), algorithm: variable("TSIG_ALGORITHM"), secret: variable("TSIG_SECRET")}
	if path := variable("TSIG_FILE"); path != "" {
		var err error
		if k, err = readKeyFile(path); err != nil {
			return k, problem.Newf(
				`it must be a file as made by tsig-keygen, key "NAME" { algorithm ...; secret "..."; };, and readable by the user keypaird-dns runs as`,
				"RFC2136_TSIG_FILE: %w", err)
		}
	}
	switch {
	case k.name == "" && k.secret == "":
		return tsigKey{}, nil
	case k.name == "" || k.secret == "":
		return k, problem.New("RFC2136_TSIG_KEY and RFC2136_TSIG_SECRET go together, one of them is missing",
			"set both, or RFC2136_TSIG_FILE, or none of them for updates that are not signed")
	case !validSecret(k.secret):
		return k, problem.New("the TSIG secret is not base64", "copy it from the server's key file, or use RFC2136_TSIG_FILE")
	}
	k.name = dns.CanonicalName(k.name)
	k.algorithm = dns.CanonicalName(cmp.Or(k.algorithm, dns.HmacSHA1)) // lego's default
	if !algorithms[k.algorithm] {
		return k, problem.Newf("use hmac-sha256, or what the server's key says: hmac-sha1, hmac-sha224, hmac-sha384, hmac-sha512",
			"TSIG algorithm %q is not known", k.algorithm)
	}
	return k, nil
}

// readKeyFile reads the one key of a file in BIND's form.
func readKeyFile(path string) (tsigKey, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return tsigKey{}, err
	}
	var text strings.Builder
	for line := range strings.Lines(string(data)) {
		text.WriteString(withoutComment(line) + " ")
	}
	// Punctuation apart, the file is pairs of words.
	words := strings.Fields(strings.NewReplacer(`"`, " ", ";", " ", "{", " ", "}", " ").Replace(text.String()))
	var k tsigKey
	keys := 0
	for i := 0; i+1 < len(words); i += 2 {
		switch words[i] {
		case "key":
			k.name = words[i+1]
			keys++
		case "algorithm":
			k.algorithm = words[i+1]
		case "secret":
			k.secret = words[i+1]
		}
	}
	if keys != 1 || k.secret == "" {
		return tsigKey{}, fmt.Errorf("%s: has %d keys, want one with a secret", path, keys)
	}
	return k, nil
}

// withoutComment cuts a comment off a line. Inside quotes there is none: base64 has
// slashes too.
func withoutComment(line string) string {
	quoted := false
	for i, r := range line {
		switch {
		case r == '"':
			quoted = !quoted
		case !quoted && (r == '#' || strings.HasPrefix(line[i:], "//")):
			return line[:i]
		}
	}
	return line
}

func (k tsigKey) sign(m *dns.Msg, c *dns.Client) {
	if k.name == "" {
		return
	}
	m.SetTsig(k.name, k.algorithm, 300, time.Now().Unix())
	c.TsigSecret = map[string]string{k.name: k.secret}
}

// check returns an error for an answer that says the key is wrong (RFC 8945, section
// 5.3). Such an answer is not signed, so it cannot be verified.
func (k tsigKey) check(in *dns.Msg, server string) error {
	if k.name == "" || in == nil || in.Rcode != dns.RcodeNotAuth {
		return nil
	}
	t := in.IsTsig()
	if t == nil || t.Error == dns.RcodeSuccess {
		return nil
	}
	return k.refused(server, int(t.Error))
}

// signed returns an error for a success without a signature, which anyone could have
// sent. (A signature was verified when the answer was read.)
func (k tsigKey) signed(in *dns.Msg, server string) error {
	if k.name != "" && in.Rcode == dns.RcodeSuccess && in.IsTsig() == nil {
		return problem.New(server+" answers a signed update without a signature", "check that RFC2136_NAMESERVER is the server itself, not a proxy")
	}
	return nil
}

// refused returns the error for a TSIG key that a server does not accept.
func (k tsigKey) refused(server string, code int) error {
	name, algorithm := strings.TrimSuffix(k.name, "."), strings.TrimSuffix(k.algorithm, ".")
	remedy := "make the key's name, algorithm and secret the same in the account's env (RFC2136_TSIG_FILE or _KEY, _ALGORITHM, _SECRET) and on the server"
	why := dns.RcodeToString[code]
	switch code {
	case dns.RcodeBadSig:
		why = "its secret is wrong (BADSIG)"
	case dns.RcodeBadKey:
		why = fmt.Sprintf("it takes no such key with %s for this (BADKEY)", algorithm)
		remedy += "; Knot DNS answers so, too, where no acl of the zone lets the key change this name"
	case dns.RcodeBadTime:
		why = "its clock differs from ours by more than 5 minutes (BADTIME)"
		remedy = "set the clocks of both machines by NTP"
	}
	return problem.Newf(remedy, "%s refuses the TSIG key %q: %s", server, name, why)
}
