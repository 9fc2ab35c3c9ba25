package dns01

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"keypaird/renew/problem"
)

// failed returns the error of a DNS account. Doing is "starting", "opening",
// "locating", "presenting" or "ending"; fqdn is the name of the record, if there
// is one; err is the error that the child answered, or how it exited. The remedy is
// the child's, or else the most likely one.
func (a *Account) failed(doing, fqdn string, err error) error {
	remedy := fmt.Sprintf("check that the account may change this name; its variables are listed by: keypaird dns %s", a.Provider)
	var exit *exitError
	switch {
	case problem.Remedy(err) != "":
		remedy = problem.Remedy(err)
	case errors.As(err, &exit):
		remedy = "try again; if it happens again, report it with the last output, and use another provider or dns-persist-01 meanwhile"
	case doing == "starting":
		remedy = "install keypaird-dns beside keypaird, executable by the user it runs as"
	}
	return problem.Newf(remedy, "DNS account %q (%s): %s: %w", a.Name, a.Provider, strings.TrimSpace(doing+" "+fqdn), err)
}

// A PropagationError reports a published record that did not become visible.
type PropagationError struct {
	FQDN    string
	Server  string // that does not have the record; may be empty
	Found   string // in place of the record
	After   time.Duration
	Blocked bool // no server gave any answer
}

func (e *PropagationError) Error() string {
	at := ""
	if e.Server != "" {
		at = " at " + e.Server
	}
	return fmt.Sprintf("TXT record of %s not visible%s after %s: %s", e.FQDN, at, e.After.Round(time.Second), e.Found)
}

// Remedy depends on whether any server answered.
func (e *PropagationError) Remedy() string {
	if e.Blocked {
		return "allow UDP and TCP to port 53, or set resolvers in the account's [dns] table to reachable servers that have the records the CA gets"
	}
	check := "dig TXT " + e.FQDN
	if host, _, ok := strings.Cut(e.Server, " "); ok {
		check += " @" + host
	}
	return "check with: " + check + "; if the provider is only slow, raise propagation in the account's [dns] table"
}

// missingRecord returns the error for a domain that does not have the record for
// dns-persist-01, or whose servers do not answer; record is a line of a zone file.
func missingRecord(unseen *PropagationError, record string) error {
	found := unseen.Found
	if unseen.Server != "" {
		found = unseen.Server + ": " + found
	}
	if unseen.Blocked {
		return problem.Newf("allow UDP and TCP to port 53 and check the domain's name servers; unless it exists, add this record: "+record,
			"cannot find out whether %s has the record that lets this CA account certify the name: %s", unseen.FQDN, found)
	}
	return problem.Newf("add this record: "+record,
		"%s has no record that lets this CA account certify the name: %s", unseen.FQDN, found)
}
