package child

import (
	"encoding/json"
	"io"
	"net/netip"
	"strings"
	"testing"

	"keypaird/cmd/keypaird-names/message"
	"keypaird/hooks/verify/input"
)

// answerTo has the program answer a request, which it reads from an input that stays open.
func answerTo(t *testing.T, request string, f message.Format) (a message.Answer, log string) {
	t.Helper()
	in, hold := io.Pipe()
	defer hold.Close()
	go io.WriteString(hold, request)
	var out, logged strings.Builder
	if err := run(true, in, &out, &logged); err != nil {
		t.Fatal(err)
	}
	a, err := message.ReadAnswer(strings.NewReader(out.String()), f)
	if err != nil {
		t.Fatal(err)
	}
	return a, logged.String()
}

// Each request has an answer in the format asked for, or an error with its remedy.
func TestAnswers(t *testing.T) {
	lookup := message.Lookup{Resolvers: []string{"127.0.0.1:1"}, RootsOnly: true, Resolve: map[string][]netip.Addr{"matrix.example.org": {netip.MustParseAddr("127.0.0.1")}}}
	matrix := &message.Discover{Domain: "example.org", Services: []string{"matrix"}}
	down := &message.Verify{Domains: []input.Domain{{Name: "example.org", Services: []string{"sip"}}}}
	for _, tt := range []struct {
		name    string
		request message.Request
		output  string // its begin
		err     string
		remedy  string // its begin
	}{
		{"text", message.Request{Discover: matrix}, "example.org, asked of 127.0.0.1:1 on ", "example.org: 3 rows could not be determined", "ask again"},
		{"JSON", message.Request{Discover: matrix, Format: message.JSON}, "{\n  \"domain\": \"example.org\",", "example.org: 3 rows could not be determined", "ask again"},
		{"plan", message.Request{Discover: &message.Discover{Domain: "example.org", Plan: &message.Goal{To: "nowhere"}}}, "", `planning: a move to "nowhere"`, "write one of: well-known"},
		{"facts", message.Request{Discover: matrix, Format: message.Facts}, "", "", ""},
		{"service", message.Request{Discover: &message.Discover{Domain: "example.org", Services: []string{"matrx"}}}, "", `unknown service "matrx"`, "write one of: caldav, "},
		{"verify", message.Request{Verify: down}, "example.org, as its peers find it\n", "nothing could be verified: ", "see that this machine has a network"},
		{"TAP", message.Request{Verify: down, Format: message.TAP}, "TAP version 13\n1..", "nothing could be verified: ", "see that this machine has a network"},
		{"nothing to verify", message.Request{Verify: &message.Verify{}, Format: message.JSON}, "", "nothing to verify", "name the endpoints of a deployment"},
		{"nothing", message.Request{}, "", "neither to discover nor to verify is asked", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.request.Lookup = lookup
			text, err := json.Marshal(tt.request)
			if err != nil {
				t.Fatal(err)
			}
			a, log := answerTo(t, string(text), tt.request.Format)
			if !strings.HasPrefix(a.Output, tt.output) || (a.Output == "") != (tt.output == "") {
				t.Errorf("output %q, want %q", a.Output, tt.output)
			}
			if !strings.HasPrefix(a.Error, tt.err) || (a.Error == "") != (tt.err == "") || !strings.HasPrefix(a.Remedy, tt.remedy) {
				t.Errorf("error %q, remedy %q, want %q, %q", a.Error, a.Remedy, tt.err, tt.remedy)
			}
			if log != "" {
				t.Errorf("it logs %s", log)
			}
			if tt.name == "facts" && (a.Needs == nil || !a.Needs.Requirements[0].Undetermined) {
				t.Errorf("needs %+v", a.Needs)
			}
		})
	}
}

// A request of another version is not half understood.
func TestOtherVersion(t *testing.T) {
	for _, text := range []string{`{"Discover":{"Domain":"example.org","Depth":3}}`, `{"Discover":"example.org"}`, "discover\n"} {
		a, _ := answerTo(t, text, message.Text)
		if !strings.HasPrefix(a.Error, "keypaird-names does not understand the request: ") || a.Remedy != "install keypaird and keypaird-names of the same version" {
			t.Errorf("%s: %q, remedy %q", text, a.Error, a.Remedy)
		}
	}
}

// What it logs is asked for.
func TestVerbose(t *testing.T) {
	server := readShapes(t)[0].serveDNS(t)
	text, _ := json.Marshal(message.Request{Verbose: true, Discover: &message.Discover{Domain: "example.org", Services: []string{"sip"}}, Lookup: message.Lookup{Resolvers: []string{server}}})
	if _, log := answerTo(t, string(text), message.Text); !strings.HasPrefix(log, "level=DEBUG msg=queried ") {
		t.Errorf("it logs %q", log)
	}
}

// Without keypaird it ends.
func TestOrphan(t *testing.T) {
	text, _ := json.Marshal(message.Request{Discover: &message.Discover{Domain: "example.org"}, Lookup: message.Lookup{Resolvers: []string{"192.0.2.1"}}})
	var out strings.Builder
	if err := run(true, strings.NewReader(string(text)), &out, io.Discard); err == nil || out.String() != "" {
		t.Errorf("%v, and answers %q", err, out.String())
	}
}
