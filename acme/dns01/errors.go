package dns01

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// A ProviderError reports what went wrong at a DNS account.
type ProviderError struct {
	Account, Provider string
	Doing             string // "starting", "opening", "locating", "presenting" or "ending"
	FQDN              string // of the record; may be empty
	Err               error  // what the child answered, or how it died
}

func (e *ProviderError) Error() string {
	return fmt.Sprintf("DNS account %q (%s): %s: %v", e.Account, e.Provider,
		strings.TrimSpace(e.Doing+" "+e.FQDN), e.Err)
}

func (e *ProviderError) Unwrap() error { return e.Err }

// Remedy is the child's, or the best guess.
func (e *ProviderError) Remedy() string {
	var r interface{ Remedy() string }
	if errors.As(e.Err, &r) && r.Remedy() != "" {
		return r.Remedy()
	}
	var dead *deathError
	switch {
	case errors.As(e.Err, &dead):
		return "try again; if it stays so, report it with its last words, and use another provider or dns-persist-01 until then"
	case e.Doing == "starting":
		return "install keypaird-dns beside keypaird, executable by the user it is to run as"
	}
	return fmt.Sprintf("check that the account may change this name; its variables are listed by: keypaird dns %s", e.Provider)
}

func (a *Account) failed(doing, fqdn string, err error) error {
	return &ProviderError{a.Name, a.Provider, doing, fqdn, err}
}

// A PropagationError reports a record that was published and did not show.
type PropagationError struct {
	FQDN    string
	Server  string // who was asked last without success; may be empty
	Saw     string // what was seen instead
	After   time.Duration
	Blocked bool // no server gave any answer
}

func (e *PropagationError) Error() string {
	at := ""
	if e.Server != "" {
		at = " at " + e.Server
	}
	return fmt.Sprintf("TXT of %s does not show%s after %s: %s", e.FQDN, at, e.After.Round(time.Second), e.Saw)
}

// Remedy tells a slow provider from a closed port.
func (e *PropagationError) Remedy() string {
	if e.Blocked {
		return "let UDP and TCP to port 53 out, or set resolvers in the account's [dns] table to servers that can be reached and see what the CA sees"
	}
	look := "dig TXT " + e.FQDN
	if host, _, ok := strings.Cut(e.Server, " "); ok {
		look += " @" + host
	}
	return "look with: " + look + "; if the provider is only slow, raise propagation in the account's [dns] table"
}

// A MissingRecordError reports a domain without the record that dns-persist-01
// needs, or one where it cannot be seen.
type MissingRecordError struct {
	FQDN    string
	Server  string // that was asked; may be empty
	Saw     string // what it shows
	Record  string // to add, as a line of a zone file
	Blocked bool   // no server gave any answer
}

func (e *MissingRecordError) Error() string {
	saw := e.Saw
	if e.Server != "" {
		saw = e.Server + ": " + saw
	}
	if e.Blocked {
		return fmt.Sprintf("cannot see whether %s has the record that lets this CA account certify the name: %s", e.FQDN, saw)
	}
	return fmt.Sprintf("%s has no record that lets this CA account certify the name: %s", e.FQDN, saw)
}

// Remedy is the record to add.
func (e *MissingRecordError) Remedy() string {
	if e.Blocked {
		return "let UDP and TCP to port 53 out and check the domain's name servers; unless it is there already, add this record: " + e.Record
	}
	return "add this record: " + e.Record
}
