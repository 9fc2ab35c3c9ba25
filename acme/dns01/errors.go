package dns01

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"keypaird/renew/problem"
)

// failed returns the error of a DNS account. Doing is "starting", "opening",
// "locating", "presenting" or "ending"; fqdn is the name of the record, if
// there is one; err is what the child answered, or how it ended. The remedy is
// the child's, or the best guess.
func (a *Account) failed(doing, fqdn string, err error) error {
	remedy := fmt.Sprintf("check that the account may change this name; its variables are listed by: keypaird dns %s", a.Provider)
	var dead *deathError
	switch {
	case problem.Remedy(err) != "":
		remedy = problem.Remedy(err)
	case errors.As(err, &dead):
		remedy = "try again; if it stays so, report it with its last words, and use another provider or dns-persist-01 until then"
	case doing == "starting":
		remedy = "install keypaird-dns beside keypaird, executable by the user it is to run as"
	}
	return problem.Newf(remedy, "DNS account %q (%s): %s: %w", a.Name, a.Provider, strings.TrimSpace(doing+" "+fqdn), err)
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

// missingRecord returns the error for a domain without the record that
// dns-persist-01 needs, or where no server tells; record is a line of a zone
// file.
func missingRecord(unseen *PropagationError, record string) error {
	saw := unseen.Saw
	if unseen.Server != "" {
		saw = unseen.Server + ": " + saw
	}
	if unseen.Blocked {
		return problem.Newf("let UDP and TCP to port 53 out and check the domain's name servers; unless it is there already, add this record: "+record,
			"cannot see whether %s has the record that lets this CA account certify the name: %s", unseen.FQDN, saw)
	}
	return problem.Newf("add this record: "+record,
		"%s has no record that lets this CA account certify the name: %s", unseen.FQDN, saw)
}
