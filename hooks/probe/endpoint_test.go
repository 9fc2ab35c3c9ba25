package probe

import (
	"strings"
	"testing"
)

func TestParseEndpoint(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Endpoint
		str  string // "": as in
	}{
		{"127.0.0.1:443", Endpoint{"tls", "127.0.0.1", 443}, ""},
		{"tls:127.0.0.1:443", Endpoint{"tls", "127.0.0.1", 443}, "127.0.0.1:443"},
		{"matrix.example.org:8448", Endpoint{"tls", "matrix.example.org", 8448}, ""},
		{"Matrix.Example.ORG.:8448", Endpoint{"tls", "matrix.example.org.", 8448}, "matrix.example.org.:8448"},
		{"[::1]:443", Endpoint{"tls", "::1", 443}, ""},
		{"[2001:DB8:0::1]:443", Endpoint{"tls", "2001:db8::1", 443}, "[2001:db8::1]:443"},
		{"[fe80::1%lo0]:443", Endpoint{"tls", "fe80::1%lo0", 443}, ""},
		{"https:example.org:443", Endpoint{"https", "example.org", 443}, ""},
		{"XMPP-Server:127.0.0.1:5269", Endpoint{"xmpp-server", "127.0.0.1", 5269}, "xmpp-server:127.0.0.1:5269"},
		{"xmpp-client:[::1]:5222", Endpoint{"xmpp-client", "::1", 5222}, ""},
		{"smtp:mx.example.org:25", Endpoint{"smtp", "mx.example.org", 25}, ""},
		{"tls:smtp:465", Endpoint{"tls", "smtp", 465}, ""},
		{"smtp:smtp:25", Endpoint{"smtp", "smtp", 25}, ""},
		{"mail_1:0993", Endpoint{"tls", "mail_1", 993}, "mail_1:993"},
	} {
		t.Run(tt.in, func(t *testing.T) {
			got, err := ParseEndpoint(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("ParseEndpoint = %+v, want %+v", got, tt.want)
			}
			str := tt.str
			if str == "" {
				str = tt.in
			}
			if got.String() != str {
				t.Errorf("String = %q, want %q", got, str)
			}
			if again, err := ParseEndpoint(got.String()); again != got || err != nil {
				t.Errorf("ParseEndpoint(String) = %+v, %v", again, err)
			}
		})
	}
}

func TestParseEndpointMistakes(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"nothing", "", `no port: write "host:443"`},
		{"no port", "example.org", `no port: write "example.org:443"`},
		{"no port, address in brackets", "[::1]", `no port: write "[::1]:443"`},
		{"protocol but no port", "smtp:mx.example.org", `no port: write "smtp:mx.example.org:25"`},
		{"protocol, address in brackets, no port", "imap:[::1]", `no port: write "imap:[::1]:143"`},
		{"protocol and nothing", "sieve:", `no port: write "sieve:host:4190"`},
		{"protocol or host", "smtp:25", `is "smtp" the protocol or the host? write "smtp:host:25" or "tls:smtp:25"`},
		{"no host", ":443", "no host: write the address"},
		{"unknown protocol", "nntp:example.org:119", `unknown protocol "nntp": one of tls, https, xmpp-client,`},
		{"a URL", "https://example.org/x", `a URL, not an endpoint: write "https:example.org:443"`},
		{"a URL with a port", "https://example.org:8443/x", `a URL, not an endpoint: write "https:example.org:8443"`},
		{"IPv6 without brackets", "::1:443", `stands in brackets`},
		{"full IPv6 without brackets", "2001:db8:0:0:0:0:0:1:443", `stands in brackets`},
		{"protocol and IPv6 without brackets", "smtp:2001:db8::1:25", `stands in brackets`},
		{"port by name", "example.org:https", `port "https": a number from 1 to 65535`},
		{"port zero", "example.org:0", `port "0": a number`},
		{"port too large", "example.org:65536", `port "65536": a number`},
		{"port negative", "example.org:-1", `port "-1": a number`},
		{"listening address", "0.0.0.0:443", "0.0.0.0 is an address to listen on, not one to dial"},
		{"listening address, IPv6", "[::]:443", "not one to dial"},
		{"IDN", "bücher.example:443", "ASCII form"},
		{"wildcard", "*.example.org:443", `'*' cannot be in a DNS name`},
		{"space", "exa mple.org:443", `' ' cannot be in a DNS name`},
		{"empty label", "example..org:443", `"" is not a label`},
		{"hyphen", "-example.org:443", `"-example" is not a label`},
		{"long label", strings.Repeat("a", 64) + ".org:443", "is not a label"},
		{"long name", strings.Repeat("a.", 130) + "org:443", "at most 253"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseEndpoint(tt.in)
			if err == nil {
				t.Fatalf("ParseEndpoint(%q) = %+v, want an error", tt.in, got)
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "endpoint ") {
				t.Errorf("error = %q, want %q in it", err, tt.want)
			}
			if got != (Endpoint{}) {
				t.Errorf("endpoint = %+v with an error", got)
			}
		})
	}
}

func FuzzParseEndpoint(f *testing.F) {
	for _, s := range []string{"127.0.0.1:443", "smtp:[::1]:25", "tls:smtp:25", "[fe80::1%a]:1", "https://x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := ParseEndpoint(s)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("%q: error has control characters: %q", s, err)
			}
			return
		}
		again, err := ParseEndpoint(e.String())
		if err != nil || again != e {
			t.Errorf("%q: %+v, then %q: %+v, %v", s, e, e, again, err)
		}
	})
}
