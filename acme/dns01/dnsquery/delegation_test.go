package dnsquery

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// A random name beside one of any length can be asked for.
func TestBeside(t *testing.T) {
	label := strings.Repeat("a", 61) + "."
	for n := 2; n < 253; n++ {
		parent := strings.Repeat(label, 4)[248-n:]
		if strings.HasPrefix(parent, ".") {
			parent = "b" + parent[1:]
		}
		name := beside(parent)
		if _, valid := dns.IsDomainName(name); !valid || !strings.HasSuffix(name, "."+parent) || name == beside(parent) && n < 240 {
			t.Fatalf("beside a name of %d octets: %q", n, name)
		}
		if n == 248 {
			break
		}
	}
}
