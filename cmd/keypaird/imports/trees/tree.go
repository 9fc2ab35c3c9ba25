package trees

import (
	"cmp"
	"crypto"
	"fmt"
	"slices"
	"strings"

	"keypaird/renew/durable"
	"keypaird/renew/keypair"
	"keypaird/renew/problem"
)

// A Tree contains the accounts and pairs of one client.
type Tree struct {
	Client       string // certbot, acme.sh, lego, dehydrated, acme-client, caddy, mod_md, acmetool or uacme
	Dir          string // absolute
	Accounts     []*Account
	Certificates []*Certificate
	Faults       []Note // what is broken, or cannot be trusted
	Notes        []Note // what is not carried over, or has to be known
	Back         string // how to go back to this client

	Commands []string // that run the client, as far as they are known

}

// An Account is one at a CA.
type Account struct {
	ID        string // as certificates of the tree name it
	Directory string // URL of the CA's directory; "" if the client does not keep it
	Host      string // of the CA, with its port; set if Directory is not
	URL       string // "" if the client does not keep it
	Email     string
	Key       crypto.Signer
	File      string // with the key
	EABKeyID  string // external account, with its key
	EABHMAC   string
}

// A Certificate is one that the client renews.
type Certificate struct {
	Name       string // as the client calls it
	Directory  string // URL of the directory of its CA; "" if the client does not keep it
	Host       string // of the CA, with its port; set if Directory may not be
	Roots      string // PEM file for the CA's own TLS; "" means the system's
	Account    *Account
	Pair       *keypair.Pair // nil: there is none yet
	Challenges []Challenge
	KeyType    string // of the next certificate; "" means that of the pair, or ec256
	Profile    string
	RootName   string // of the root that the chain is to lead to
	Places     []Place
}

// A Challenge is the method by which a name is validated.
type Challenge struct {
	Name    string
	Type    string // of the challenge
	Webroot string // of http-01: the directory served as /.well-known/acme-challenge; "" means that the client listens
	Listen  string // of http-01: where it listens; "" means on port 80
	Unclear bool   // of http-01: a server or a hook answers, so that neither is known
	Server  string // which server, if the client configures it
	Account *DNS   // of dns-01
}

// DNS is an account at a DNS provider.
type DNS struct {
	Provider string            // lego's code
	Env      map[string]string // lego's variables
}

// A Place names the files from which servers read a pair. Each file may be "".
type Place struct {
	Key, Chain, Combined, Leaf, Intermediates string

	Preset string   // of the server; "" if that is not known
	Reload []string // program and arguments; nil if that is not known
}

// A Note is something about a tree that an operator has to know.
type Note struct {
	Subject string `json:"subject,omitempty"` // the certificate or account it is about
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Text    string `json:"text"`
	Remedy  string `json:"remedy,omitempty"`
}

// String returns the note on one line, without its remedy.
func (n Note) String() string {
	var at []string
	if n.Subject != "" {
		at = append(at, n.Subject)
	}
	if n.File != "" && n.Line > 0 {
		at = append(at, fmt.Sprintf("%s:%d", n.File, n.Line))
	} else if n.File != "" {
		at = append(at, n.File)
	}
	return strings.Join(append(at, n.Text), ": ")
}

// fault adds a fault. err may have a remedy.
func (t *Tree) fault(subject, file string, line int, err error) {
	remedy := cmp.Or(problem.Remedy(err), "correct the file")
	if subject != "" {
		remedy += "; or leave it out: -skip " + subject
	}
	text := durable.Cause(err).Error()
	if unsafe := err.Error(); strings.HasPrefix(unsafe, "/") {
		file, text = "", unsafe
	}
	if n := (Note{subject, file, line, text, remedy}); !slices.Contains(t.Faults, n) {
		t.Faults = append(t.Faults, n)
	}
}

// note adds a note.
func (t *Tree) note(subject, remedy, format string, args ...any) {
	n := Note{Subject: subject, Text: fmt.Sprintf(format, args...), Remedy: remedy}
	if !slices.Contains(t.Notes, n) {
		t.Notes = append(t.Notes, n)
	}
}

// noteName adds a note about a name, which is put before the text. Names with the same text
// share a note.
func (t *Tree) noteName(subject, name, remedy, text string) {
	for i, n := range t.Notes {
		if names, same := strings.CutSuffix(n.Text, ": "+text); same && n.Subject == subject && n.Remedy == remedy {
			t.Notes[i].Text = names + " " + name + ": " + text
			return
		}
	}
	t.note(subject, remedy, "%s", name+": "+text)
}

// account returns the account called id, or nil.
func (t *Tree) account(id string) *Account {
	for _, a := range t.Accounts {
		if a.ID == id {
			return a
		}
	}
	return nil
}

// Names returns the names that a certificate is for.
func (c *Certificate) Names() []string {
	var list []string
	for _, ch := range c.Challenges {
		list = append(list, ch.Name)
	}
	return list
}

// pair reads a pair and checks that key and chain belong together.
func (t *Tree) pair(r *root, subject, chain, key string) *keypair.Pair {
	chainPEM, err := r.read(chain, maxFile)
	if err != nil {
		t.fault(subject, r.at(chain), 0, err)
		return nil
	}
	keyPEM, err := r.read(key, maxFile)
	if err != nil {
		t.fault(subject, r.at(key), 0, err)
		return nil
	}
	p, err := keypair.Parse(onlyCertificates(chainPEM), keyPEM)
	if err != nil {
		t.fault(subject, r.at(chain), 0, problem.Newf("restore the pair in "+r.at(key), "is no pair with %s: %w", r.at(key), err))
		return nil
	}
	return p
}

// Expand returns the place with each of its files as f returns it.
func (p Place) Expand(f func(string) string) Place {
	p.Key, p.Chain, p.Combined, p.Leaf, p.Intermediates = f(p.Key), f(p.Chain), f(p.Combined), f(p.Leaf), f(p.Intermediates)
	return p
}

// Files returns the files in the order key, chain, combined, leaf, intermediates.
func (p Place) Files() [5]string {
	return [5]string{p.Key, p.Chain, p.Combined, p.Leaf, p.Intermediates}
}
