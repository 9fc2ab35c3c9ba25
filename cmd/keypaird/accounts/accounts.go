package accounts

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"keypaird/acme"
	"keypaird/acme/accountkey"
	"keypaird/acme/dns01"
	"keypaird/cmd/keypaird/config/hostname"
	"keypaird/cmd/keypaird/engine"
	"keypaird/renew/keypair"
	"keypaird/renew/problem"
)

// Values of Status.
const (
	None        = "none"        // no account is registered
	Valid       = "valid"       // the CA accepts it
	Deactivated = "deactivated" // for good
	Failed      = "failed"      // see Error
)

// An Account is a row of "keypaird account -json".
type Account struct {
	CA          string    `json:"ca"`
	Directory   string    `json:"directory"`
	Status      string    `json:"status"`
	URL         string    `json:"url,omitempty"`
	Email       string    `json:"email,omitempty"`
	Key         string    `json:"key,omitempty"`        // its type
	Thumbprint  string    `json:"thumbprint,omitempty"` // of the key, as key authorizations have it
	Created     time.Time `json:"created,omitzero"`
	Deactivated time.Time `json:"deactivated,omitzero"`
	Terms       string    `json:"terms_of_service,omitempty"` // agreed to
	CAA         []string  `json:"caa,omitempty"`              // records that let this account alone certify the names of targets
	Done        string    `json:"done,omitempty"`             // what this command did
	Error       string    `json:"error,omitempty"`
	Remedy      string    `json:"remedy,omitempty"`
}

// timeout is how long one CA may take.
const timeout = time.Minute

// Names returns the CAs that targets use, or those of them that are named.
func Names(e *engine.Engine, wanted []string) ([]string, error) {
	cas, err := e.CAs()
	if err != nil {
		return nil, err
	}
	all := slices.Sorted(maps.Keys(cas))
	for _, name := range wanted {
		if !slices.Contains(all, name) {
			return nil, problem.Newf("name one of: "+strings.Join(all, ", "), "no target is signed by a CA called %q", name)
		}
	}
	if len(wanted) > 0 {
		return wanted, nil
	}
	return all, nil
}

// An Act does something to the account of a CA, and returns what it did.
type Act func(ctx context.Context, c *acme.Client) (done string, err error)

// Acts are what can be done, by the word behind keypaird account; nil: nothing is.
var Acts = map[string]Act{"show": nil, "register": register, "rollover": rollover, "deactivate": deactivate}

// register registers an account where there is none that can be used.
func register(ctx context.Context, c *acme.Client) (string, error) {
	_, made, err := c.Register(ctx)
	if err != nil || !made {
		return "", err
	}
	return "registered", nil
}

// rollover replaces the account's key.
func rollover(ctx context.Context, c *acme.Client) (string, error) {
	if _, err := c.Rollover(ctx, accountkey.Default); err != nil {
		return "", err
	}
	return "key replaced", nil
}

// deactivate deactivates the account.
func deactivate(ctx context.Context, c *acme.Client) (string, error) {
	if _, err := c.Deactivate(ctx); err != nil {
		return "", err
	}
	return "deactivated", nil
}

// Each does something to the accounts of CAs, nothing if act is nil, and returns the
// accounts after that.
func Each(ctx context.Context, e *engine.Engine, cas []string, act Act) (Accounts, error) {
	rows := Accounts{}
	if act != nil {
		if err := e.PermitAccountChange(); err != nil {
			return nil, err
		}
	}
	for _, name := range cas {
		c, err := e.CA(name)
		if err != nil {
			return nil, err
		}
		done := ""
		if act != nil {
			done, err = act(ctx, c)
		}
		row := show(ctx, e, name, c)
		row.Done = done
		if err != nil {
			row.fail(err)
		}
		rows = append(rows, row)
	}
	return rows, ctx.Err()
}

// fail reports that something failed.
func (a *Account) fail(err error) {
	a.Status, a.Error, a.Remedy = Failed, err.Error(), problem.Remedy(err)
}

// show returns the account at one CA, as it is on disk and as the CA knows it.
func show(ctx context.Context, e *engine.Engine, name string, c *acme.Client) Account {
	ca, _ := e.Config.Authority(name)
	a := Account{CA: name, Directory: ca.Directory, Status: None}
	file, key, known, err := c.Stored()
	if err != nil {
		a.fail(err)
		return a
	}
	if !known {
		return a
	}
	a.URL, a.Email, a.Created, a.Deactivated, a.Terms = file.URL, file.Email, file.Created, file.Deactivated, file.Terms
	a.Key, a.Thumbprint = keypair.KeyType(key.Public()), accountkey.Thumbprint(key.Public())
	if a.Status = Deactivated; !a.Deactivated.IsZero() {
		return a
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	a.Status = Valid
	if _, err := c.CheckAccount(ctx); err != nil {
		a.fail(err)
		return a
	}
	if info, err := c.Info(ctx); err == nil {
		a.CAA = records(e, name, dns01.Applicant{Issuers: info.Identities, AccountURL: file.URL})
	}
	return a
}

// records returns the CAA records (RFC 8657) that let only this account certify the names
// of targets, by the challenges that they have.
func records(e *engine.Engine, ca string, by dns01.Applicant) []string {
	if len(by.Issuers) == 0 {
		return nil // the CA does not say what it reads
	}
	type owner struct {
		name     string
		wildcard bool
	}
	methods := map[owner][]string{}
	for _, t := range e.Targets {
		if !slices.Contains(t.CAs(), ca) {
			continue
		}
		for _, c := range e.Settings[t.Name].Challenges {
			name, wildcard := strings.CutPrefix(c.Name, "*.")
			o := owner{name, wildcard}
			if !hostname.IsAddress(c.Name) && !slices.Contains(methods[o], c.Type) {
				methods[o] = append(methods[o], c.Type)
			}
		}
	}
	var list []string
	for o, types := range methods {
		by.Method, by.Wildcard = strings.Join(slices.Sorted(slices.Values(types)), ","), o.wildcard
		list = append(list, dns01.Permission(o.name+".", by))
	}
	slices.Sort(list)
	return list
}

// String names the account in a message.
func (a Account) String() string { return fmt.Sprintf("account at %s", a.CA) }
