package acmetest

import (
	"fmt"
	"log"
	"math"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	pebbleca "github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// Paths of Pebble's resources, for faults and counts. After a slash at the end follows an
// identifier.
const (
	PathDirectory   = wfe.DirectoryPath
	PathNewNonce    = "/nonce-plz"
	PathNewAccount  = "/sign-me-up"
	PathAccount     = "/my-account/"
	PathNewOrder    = "/order-plz"
	PathOrder       = "/my-order/"
	PathFinalize    = "/finalize-order/"
	PathAuthz       = "/authZ/"
	PathChallenge   = "/chalZ/"
	PathCertificate = "/certZ/"
	PathRevoke      = "/revoke-cert"
	PathKeyChange   = "/rollover-account-key"
	PathOrders      = "/list-orderz/"
	PathRenewalInfo = "/draft-ietf-acme-ari-03/renewalInfo/"
)

// pebble has Pebble's four parts, assembled as its own command does.
type pebble struct {
	db      *db.MemoryStore
	ca      *pebbleca.CAImpl
	handler http.Handler
}

// environment is held while Pebble reads its settings from the process environment: they
// are set before and restored after, so that two CAs of one process may differ.
var environment sync.Mutex

// newPebble makes a Pebble that validates challenges, in strict mode.
func newPebble(o Options, httpPort, tlsPort int, logger *log.Logger) (pebble, error) {
	alg := o.KeyAlgorithm
	switch alg {
	case "":
		alg = "ecdsa"
	case "ecdsa", "rsa":
	default:
		return pebble{}, fmt.Errorf("key algorithm %q is neither ecdsa nor rsa", alg)
	}
	identities := o.CAAIdentities
	if len(identities) == 0 {
		identities = []string{"pebble.letsencrypt.org"}
	}

	environment.Lock()
	defer environment.Unlock()
	restore, err := setenv(map[string]string{
		"PEBBLE_VA_NOSLEEP":      "1",
		"PEBBLE_VA_ALWAYS_VALID": "",
		"PEBBLE_WFE_NONCEREJECT": percent(o.NonceReject, 5),
		"PEBBLE_AUTHZREUSE":      percent(o.AuthzReuse, 50),
	})
	defer restore()
	if err != nil {
		return pebble{}, err
	}

	store := db.NewMemoryStore()
	for id, key := range o.EAB {
		if err := store.AddExternalAccountKeyByID(id, key); err != nil {
			return pebble{}, fmt.Errorf("external account key %q: %w", id, err)
		}
	}
	for _, domain := range o.Blocked {
		if err := store.AddBlockedDomain(domain); err != nil {
			return pebble{}, fmt.Errorf("blocked domain %q: %w", domain, err)
		}
	}
	authority := pebbleca.New(logger, store, "", alg, o.AlternateRoots, max(o.ChainLength, 1), pebbleProfiles(o.Profiles))
	validator := va.New(logger, httpPort, tlsPort, true, o.DNS, store)
	front := wfe.New(logger, store, validator, authority, identities, true, len(o.EAB) > 0,
		seconds(o.RetryAfterAuthz), seconds(o.RetryAfterOrder))
	return pebble{db: store, ca: authority, handler: front.Handler()}, nil
}

// pebbleProfiles converts profiles to Pebble's type.
func pebbleProfiles(ps map[string]Profile) map[string]pebbleca.Profile {
	if len(ps) == 0 {
		ps = map[string]Profile{"default": {Description: "ninety days"}}
	}
	out := make(map[string]pebbleca.Profile, len(ps))
	for name, p := range ps {
		out[name] = pebbleca.Profile{
			Description:       p.Description,
			PromoteCommonName: p.CommonName,
			ValidityPeriod:    uint64(p.Validity / time.Second),
		}
	}
	return out
}

// setenv sets variables and returns a function that restores them.
func setenv(vars map[string]string) (restore func(), err error) {
	old := make(map[string]string)
	for name := range vars {
		if v, ok := os.LookupEnv(name); ok {
			old[name] = v
		}
	}
	restore = func() {
		for name := range vars {
			if v, ok := old[name]; ok {
				os.Setenv(name, v)
			} else {
				os.Unsetenv(name)
			}
		}
	}
	for name, v := range vars {
		if err := os.Setenv(name, v); err != nil {
			return restore, err
		}
	}
	return restore, nil
}

// percent returns n for Pebble's environment: zero means usual, negative means 0.
func percent(n, usual int) string {
	if n == 0 {
		n = usual
	}
	return strconv.Itoa(max(n, 0))
}

// seconds returns d in whole seconds, rounded up.
func seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }
