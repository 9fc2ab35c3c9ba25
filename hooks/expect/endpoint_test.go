package expect

import (
	"slices"
	"testing"

	"keypaird/hooks/probe"
)

// What peers request of each name of an identity, at each kind of endpoint.
func TestExpected(t *testing.T) {
	const rooms = "conference.example.org"
	domain, server, all, foreign := []string{plain, rooms}, []string{host}, []string{plain, rooms, host}, []string{"shop.example", "www.shop.example"}
	components := []string{rooms}
	for _, tt := range []struct {
		at    string
		names []string // given in the configuration
		want  [5][]string
	}{
		{"127.0.0.1:443", nil, [5][]string{{plain}, server, {plain, host}, foreign, components}},
		{"127.0.0.1:8448", nil, [5][]string{{plain}, server, {plain, host}, foreign, components}},
		{"https:127.0.0.1:8443", nil, [5][]string{{plain}, server, {plain, host}, foreign, components}},
		{"smtp:127.0.0.1:25", nil, [5][]string{{plain}, server, {plain, host}, foreign, components}},
		{"127.0.0.1:993", nil, [5][]string{{plain}, server, {plain, host}, foreign, components}},
		{"127.0.0.1:5222", nil, [5][]string{{plain}, nil, {plain}, foreign, nil}},
		{"xmpp-server:127.0.0.1:5000", nil, [5][]string{domain, nil, domain, foreign, components}},
		{"127.0.0.1:5223", nil, [5][]string{{plain}, nil, {plain}, foreign, nil}},
		{"127.0.0.1:5270", nil, [5][]string{domain, nil, domain, foreign, components}},
		{"127.0.0.1:5281", nil, [5][]string{domain, server, all, foreign, components}}, // uploads, or anything
		{"127.0.0.1:443", []string{rooms, "www.shop.example"}, [5][]string{{rooms}, nil, {rooms}, {"www.shop.example"}, components}},
	} {
		at, err := probe.ParseEndpoint(tt.at)
		if err != nil {
			t.Fatal(err)
		}
		e := Endpoint{at, tt.names}
		for i, names := range [][]string{domain, server, all, foreign, components} {
			identity, parts := plain, components
			if i == 3 { // a [cert]
				identity, parts = "", nil
			}
			if got := e.Expected(names, identity, parts); !slices.Equal(got, tt.want[i]) {
				t.Errorf("%v: %q of %q, want %q", e, got, names, tt.want[i])
			}
		}
	}
}
