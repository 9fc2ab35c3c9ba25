package dns01

import (
	"context"
	"strings"
	"testing"
	"time"

	"keypaird/acme"
	"keypaird/renew/problem"

	"github.com/miekg/dns"
)

const account = "https://ca.example/acct/123"

// The rows are those of Pebble's own test of its validation.
func TestPermits(t *testing.T) {
	for _, tt := range []struct {
		name, txt string
		wildcard  bool
		want      bool
	}{
		{"plain", "authority.example; accounturi=" + account, false, true},
		{"no spaces", "authority.example;accounturi=" + account, false, true},
		{"many spaces, capitals in tags", " \tauthority.example  ;  AccountURI = " + account + "  ; policy = wildcard", false, true},
		{"wildcard allowed", "authority.example; accounturi=" + account + "; policy=WildCard", true, true},
		{"wildcard not allowed", "authority.example; accounturi=" + account, true, false},
		{"another policy", "authority.example; accounturi=" + account + "; policy=some", true, false},
		{"unknown parameter", "authority.example; accounturi=" + account + "; colour=blue", false, true},
		{"another CA", "other.example; accounturi=" + account, false, false},
		{"issuer in capitals", "Authority.example; accounturi=" + account, false, false},
		{"another account", "authority.example; accounturi=" + account + "4", false, false},
		{"no account", "authority.example", false, false},
		{"empty account", "authority.example; accounturi=", false, false},
		{"semicolon at the end", "authority.example; accounturi=" + account + ";", false, false},
		{"account twice", "authority.example; accounturi=" + account + "; ACCOUNTURI=" + account, false, false},
		{"parameter without value", "authority.example; accounturi=" + account + "; policy", false, false},
		{"parameter without tag", "authority.example; accounturi=" + account + "; =x", false, false},
		{"space in a value", "authority.example; accounturi=" + account + " x", false, false},
		{"not yet over", "authority.example; accounturi=" + account + "; persistUntil=4102444800", false, true},
		{"over", "authority.example; accounturi=" + account + "; persistUntil=1", false, false},
		{"until some day", "authority.example; accounturi=" + account + "; persistUntil=soon", false, false},
		{"something else", "v=spf1 -all", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := acme.Challenge{Wildcard: tt.wildcard, Issuers: []string{"first.example", "authority.example"}, AccountURL: account}
			if got := permits(tt.txt, c, time.Now()); got != tt.want {
				t.Errorf("permits(%q) = %v, want %v", tt.txt, got, tt.want)
			}
		})
	}
}

// The record that operators are asked to add parses, and is the one that is accepted.
func TestRecord(t *testing.T) {
	long := "https://ca.example/" + strings.Repeat("a", 300)
	for _, tt := range []struct {
		name     string
		wildcard bool
		account  string
		want     string
	}{
		{"plain", false, account, `_validation-persist.example.org. IN TXT "authority.example; accounturi=https://ca.example/acct/123"`},
		{"wildcard", true, account, `_validation-persist.example.org. IN TXT "authority.example; accounturi=https://ca.example/acct/123; policy=wildcard"`},
		{"longer than one string", true, long, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := persistRecord("example.org", tt.wildcard, "authority.example", tt.account)
			if tt.want != "" && got != tt.want {
				t.Errorf("Record = %s, want %s", got, tt.want)
			}
			rr, err := dns.NewRR(got)
			if err != nil {
				t.Fatalf("%s: %v", got, err)
			}
			for _, part := range rr.(*dns.TXT).Txt {
				if len(part) > 255 {
					t.Errorf("a string of %d bytes", len(part))
				}
			}
			c := acme.Challenge{Wildcard: tt.wildcard, Issuers: []string{"authority.example"}, AccountURL: tt.account}
			if txt := strings.Join(rr.(*dns.TXT).Txt, ""); !permits(txt, c, time.Now()) {
				t.Errorf("%q is not what a CA takes", txt)
			}
		})
	}
}

func TestPersistSolve(t *testing.T) {
	const soa = "example.org. 300 IN SOA ns. hostmaster. 1 3600 600 86400 60"
	const at = "_validation-persist.example.org."
	for _, tt := range []struct {
		name    string
		records []string
		mode    string
		err     string // empty: validated
	}{
		{"published", []string{soa, at + ` 60 IN TXT "v=1" `, persistRecord("example.org", true, "authority.example", account)}, "", ""},
		{"not published", []string{soa}, "", "no such name"},
		{"for another account", []string{soa, persistRecord("example.org", true, "authority.example", "https://ca.example/acct/9")}, "",
			`found only "authority.example; accounturi=https://ca.example/acct/9; policy=wildcard"`},
		{"not for the wildcard", []string{soa, persistRecord("example.org", false, "authority.example", account)}, "", "found only"},
		{"servers are down", []string{soa}, "silent", "cannot find out whether"},
		{"the resolver refuses", []string{soa}, "resolver", "answered REFUSED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &nameServer{mode: tt.mode}
			s.set(t, tt.records...)
			w := newTestNet(t, s)
			if tt.mode == "resolver" {
				w.resolver.misbehave("refused")
			}
			p := &Persist{System: w.checker.System, Port: w.checker.Port}
			if tt.mode != "" { // time is given to what is silent, and nothing else
				p.grace = time.Second
			}
			c := acme.Challenge{Identifier: "example.org", Wildcard: true, Issuers: []string{"authority.example"}, AccountURL: account}
			validated := false
			err := p.Solve(t.Context(), c, func(context.Context) error { validated = true; return nil })
			if validated != (tt.err == "") || (err == nil) != validated {
				t.Fatalf("Solve = %v, validated %v", err, validated)
			}
			if err == nil {
				return
			}
			if !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Solve = %v, want %q", err, tt.err)
			}
			want := "add this record: " + persistRecord("example.org", true, "authority.example", account)
			remedy := problem.Remedy(err)
			if !strings.HasSuffix(remedy, want) || strings.Contains(remedy, "[dns]") || tt.mode == "" && remedy != want {
				t.Errorf("Solve = %v, remedy %q, want remedy %q", err, remedy, want)
			}
		})
	}
}
