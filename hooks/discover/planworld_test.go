package discover

import (
	"fmt"
	"testing"
	"time"
)

// The worlds between SRV records and documents. The zones say how long the SRV
// records are kept.
var planStories = []story{
	{name: "founding", zone: "@ IN A {1}\nmatrix IN A {2}\n_matrix._tcp 7200 IN SRV 10 0 8448 matrix\n", web: empty()},
	{name: "moved", zone: "@ IN A {1}\nmatrix IN A {2}\n_matrix._tcp 7200 IN SRV 10 0 8448 matrix\n", web: both("matrix.@:8448")},
	{name: "moved in part", zone: "@ IN A {1}\n@ IN A {3}\nmatrix IN A {2}\n_matrix._tcp 7200 IN SRV 10 0 8448 matrix\n", web: append(both("matrix.@:8448"), site9{addr: "{3}", host: "@"})},
	{name: "moved unseen", zone: "@ IN A {1}\n@ IN AAAA 2001:db8::1\nmatrix IN A {2}\n", web: both("matrix.@:8448")},
	{name: "moved expired", zone: "@ IN A {1}\nmatrix IN A {2}\n_matrix._tcp 7200 IN SRV 10 0 8448 matrix\n", web: expired("matrix.@:8448")},
	{name: "moved srv fails", zone: "@ IN A {1}\nmatrix IN A {2}\n", broken: "_matrix-fed._tcp", web: both("matrix.@:8448")},
	{name: "moved to nowhere", zone: "@ IN A {1}\n_matrix._tcp 7200 IN SRV 10 0 8448 @\n", web: both("matrix.@:8448")},
	{name: "moved elsewhere", zone: "@ IN A {1}\nold IN A {3}\nmatrix IN A {2}\n", web: both("old.@:8448")},
	{name: "back", zone: "@ IN A {1}\nmatrix IN A {2}\n_matrix-fed._tcp 7200 IN SRV 10 0 8448 matrix\n", web: empty()},
	{name: "back in part", zone: "@ IN A {1}\n@ IN A {3}\nmatrix IN A {2}\n_matrix-fed._tcp 7200 IN SRV 10 0 8448 matrix\n", web: append(both("matrix.@:8448"), site9{addr: "{3}", host: "@"})},
	{name: "nothing at all", zone: "@ IN A {1}\n", web: empty()},
	{name: "moved to another", zone: "@ IN A {1}\nmatrix IN A {4}\n", web: both("matrix.@:8448")},
	{name: "moved half served", zone: "@ IN A {1}\nmatrix IN A {2}\nmatrix IN A {9}\n", web: both("matrix.@:8448")},
	{name: "moved without plain", zone: "@ IN A {1}\nmatrix IN A {5}\n_matrix._tcp 7200 IN SRV 10 0 8448 matrix\n", web: both("matrix.@:8448")},
	{name: "moved out of sight", zone: "@ IN A {1}\nmatrix IN A {2}\nmatrix IN AAAA 2001:db8::1\n", web: both("matrix.@:8448")},
	{name: "moved half known", zone: "@ IN A {1}\nmatrix IN A {2}\n" + many("matrix", 17), web: both("matrix.@:8448")},
	{name: "moved to address", zone: "@ IN A {1}\nmatrix IN A {2}\n", web: both("{2}:8448")},
	{name: "moved client fails", zone: "@ IN A {1}\nmatrix IN A {2}\n", web: answering("503", "client", "matrix.@:8448")},
	{name: "back fails", zone: "@ IN A {1}\nmatrix IN A {2}\n_matrix-fed._tcp 7200 IN SRV 10 0 8448 matrix\n", web: answering("503", "server", "")},
	{name: "back throttled", zone: "@ IN A {1}\nmatrix IN A {2}\n_matrix-fed._tcp 7200 IN SRV 10 0 8448 matrix\n", web: answering("429", "server", "")},
	{name: "back forbidden", zone: "@ IN A {1}\nmatrix IN A {2}\n_matrix-fed._tcp 7200 IN SRV 10 0 8448 matrix\n", web: answering("403", "server", "")},
	{name: "back gone", zone: "@ IN A {1}\nmatrix IN A {2}\n_matrix-fed._tcp 7200 IN SRV 10 0 8448 matrix\n", web: answering("410", "server", "")},
	{name: "back closed", zone: "@ IN A {6}\nmatrix IN A {2}\n_matrix-fed._tcp 7200 IN SRV 10 0 8448 matrix\n"},
	{name: "several", zone: "@ IN A {1}\nmatrix IN A {2}\nsecond IN A {2}\n_matrix._tcp IN SRV 10 0 8448 matrix\n_matrix._tcp IN SRV 20 0 8449 second\n" +
		"_xmpp-server._tcp IN SRV 5 0 5269 matrix\n_imaps._tcp IN SRV 0 0 993 matrix\n", web: empty()},
}

// many addresses of one host.
func many(host string, n int) (zone string) {
	for i := range n {
		zone += fmt.Sprintf("%s IN A 127.9.9.%d\n", host, i+1)
	}
	return zone
}

// planWorld has a homeserver for each domain, at {2} where nothing else is said.
func planWorld(t *testing.T) *world {
	w := newWorld(t, planStories)
	for i, st := range planStories {
		matrix, of, last := "matrix."+st.domain, st.domain, 2
		names := []string{st.domain, matrix, fmt.Sprintf("127.1.%d.2", i+1)}
		switch st.name {
		case "moved to another":
			of, last = "another.test", 4
		case "moved without plain":
			names, last = []string{matrix}, 5
		}
		for _, port := range []int{443, 8448} {
			w.serveTLS(fmt.Sprintf("127.1.%d.%d:%d", i+1, last, port), homeserver(of), names...)
		}
	}
	return w
}

// answering is a site where one document fails.
func answering(status, kind, server string) []site9 {
	sites := empty()
	if server != "" {
		sites = both(server)
	}
	sites[0].conf += "\nlocation = /.well-known/matrix/" + kind + " { return " + status + "; }"
	return sites
}

// both documents, served as the plan says.
func both(server string) []site9 {
	return []site9{{addr: "{1}", host: "@", conf: cors, files: map[string]string{
		"/.well-known/matrix/server": `{"m.server": "` + server + `"}`,
		"/.well-known/matrix/client": `{"m.homeserver": {"base_url": "https://matrix.@"}, "org.example.app": {"x": 1}}`,
	}}}
}

func expired(server string) []site9 {
	web := both(server)
	web[0].until = -time.Minute
	return web
}

// What the tests of package plan need: it imports this one, so they are in
// package discover_test.
var (
	Lines = lines
	Line  = line
)

// PlanWorld starts the servers of planStories.
func PlanWorld(t *testing.T) *Discoverer { return planWorld(t).discoverer() }

// CompareLines compares lines about a domain.
func CompareLines(t *testing.T, domain string, got, want []string) {
	t.Helper()
	compare(t, story{domain: domain}, got, want)
}

// ClientBase returns the base_url of a client document.
func ClientBase(body []byte) (string, error) {
	c, err := parseClient(body)
	if err != nil {
		return "", err
	}
	return c.base.String(), nil
}
