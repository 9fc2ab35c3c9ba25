package hooks

import (
	"strings"
	"testing"
)

func TestPaths(t *testing.T) {
	d := Deployment{Chain: "/etc/ssl/{name}.crt", Key: "/etc/ssl//private/{name}.key", Combined: "/x/{name}/{name}.pem"}
	for name, want := range map[string]string{
		"example.org":   "/etc/ssl/example.org.crt /etc/ssl/private/example.org.key /x/example.org/example.org.pem",
		"*.example.org": "/etc/ssl/_wildcard.example.org.crt /etc/ssl/private/_wildcard.example.org.key /x/_wildcard.example.org/_wildcard.example.org.pem",
	} {
		if got := strings.Join(d.Paths(name), " "); got != want {
			t.Errorf("Paths(%q) = %s\nwant %s", name, got, want)
		}
	}
}
