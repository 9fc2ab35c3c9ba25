package document

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
)

var (
	noon   = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	sha256 = strings.Repeat("0a", 32)
)

// roundTrip parses what a value is written as.
func roundTrip[T any, B body[T]](t *testing.T, want T) {
	t.Helper()
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Parse[T, B](data); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %+v, %v", data, got, err)
	}
	for n := range len(data) {
		if _, err := Parse[T, B](data[:n]); err == nil {
			t.Errorf("%s is accepted", data[:n])
		}
	}
}

func TestParse(t *testing.T) {
	roundTrip(t, Fleet{NewID(), Format})
	roundTrip(t, Release{Serial: 1, Version: "v000002", Fingerprint: sha256, NotAfter: noon, Wave: 1, Nodes: []string{"mx1", "mx2"}, At: noon, Held: "reload failed", Stopped: true})
	roundTrip(t, Release{Serial: 9, Version: "v000002", Fingerprint: sha256, NotAfter: noon, All: true, At: noon})
	roundTrip(t, Pair{"-----BEGIN CERTIFICATE-----\n", "0123456789abcdef", Sealed{[]string{"mx1"}}})
	roundTrip(t, Record{json.RawMessage(`{"ca":"letsencrypt"}`), Sealed{[]string{"mx1"}}})
	roundTrip(t, Order{true, Sealed{[]string{"mx1", "mx2"}}})
	roundTrip(t, Account{map[string][]byte{"account.json": []byte("{}"), "key.pem": {0, 1}}})
	roundTrip(t, OrderLog{[]string{"2026-11-23T20:17:00Z newOrder 8f434346648f6b96df89dda901c5176b"}})
	roundTrip(t, Counts{[]Count{{noon, 3}, {noon.Add(CountPeriod), 1}}})
	roundTrip(t, Token{strings.Repeat("t", 43) + "." + strings.Repeat("u", 43)})
	roundTrip(t, Ask{Do: Issue, At: noon, Targets: map[string]uint64{"example.org": 7, "*.example.org": 0}, Force: true})
	roundTrip(t, Answer{At: noon, Answered: true, Outcomes: []Outcome{{Target: "example.org", Action: "issue", NotAfter: noon}}})
	roundTrip(t, Alive{Boot: "7d3c-1", Version: "v1.2", Clock: noon, Targets: map[string]string{"example.org": "0f"}})
	roundTrip(t, Report{Revision: 7, Seen: noon, Exceptions: map[string]Exception{"example.org": {Serial: 3, Failures: 2, Err: "no such proxy", At: noon}}, Newer: map[string][]byte{"example.org": {1}}})
}

func TestParseRefuses(t *testing.T) {
	release := func(change string) string {
		values := map[string]any{"serial": 1, "version": "v1", "fingerprint": sha256, "not_after": noon, "nodes": []string{"mx1"}, "at": noon}
		if err := json.Unmarshal([]byte(change), &values); err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(values)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	isRelease := func(s string) error { _, err := Parse[Release]([]byte(s)); return err }
	if err := isRelease(release("{}")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		err  error
	}{
		{"nothing", isRelease("")},
		{"null", isRelease("null")},
		{"a list", isRelease("[]")},
		{"serial 0", isRelease(release(`{"serial": 0}`))},
		{"serial -1", isRelease(release(`{"serial": -1}`))},
		{"serial too large", isRelease(release(`{"serial": 1e30}`))},
		{"version up", isRelease(release(`{"version": "../v1"}`))},
		{"no version", isRelease(release(`{"version": ""}`))},
		{"fingerprint", isRelease(release(`{"fingerprint": "AB"}`))},
		{"wave", isRelease(release(`{"wave": -1}`))},
		{"nodes not sorted", isRelease(release(`{"nodes": ["b", "a"]}`))},
		{"node twice", isRelease(release(`{"nodes": ["a", "a"]}`))},
		{"node with a slash", isRelease(release(`{"nodes": ["a/b"]}`))},
		{"all and some", isRelease(release(`{"all": true}`))},
		{"no time", isRelease(release(`{"at": "0001-01-01T00:00:00Z"}`))},
		{"far future", isRelease(release(`{"not_after": "9999-01-01T00:00:00Z"}`))},
		{"newer format", second(Parse[Fleet]([]byte(`{"id":"` + NewID() + `","format":2}`)))},
		{"fleet without id", second(Parse[Fleet]([]byte(`{"format":1}`)))},
		{"no chain", second(Parse[Pair]([]byte(`{}`)))},
		{"chain with NUL", second(Parse[Pair]([]byte(`{"chain":"a\u0000"}`)))},
		{"large chain", second(Parse[Pair]([]byte(`{"chain":"` + strings.Repeat("a", 1<<19) + `"}`)))},
		{"account part up", second(Parse[Account]([]byte(`{"parts":{"../x":"eA=="}}`)))},
		{"account without parts", second(Parse[Account]([]byte(`{}`)))},
		{"two lines in one", second(Parse[OrderLog]([]byte(`{"lines":["a\nb"]}`)))},
		{"count in between", second(Parse[Counts]([]byte(`{"orders":[{"at":"2026-11-29T12:01:00Z","n":1}]}`)))},
		{"counts not sorted", second(Parse[Counts]([]byte(`{"orders":[{"at":"2026-11-29T12:05:00Z","n":1},{"at":"2026-11-29T12:00:00Z","n":1}]}`)))},
		{"negative count", second(Parse[Counts]([]byte(`{"orders":[{"at":"2026-11-29T12:00:00Z","n":-1}]}`)))},
		{"token", second(Parse[Token]([]byte(`{"key_authorization":"../../x.y"}`)))},
		{"ask for a path", second(Parse[Ask]([]byte(`{"do":"go","at":"2026-11-29T12:00:00Z","targets":{"../x":1}}`)))},
		{"ask for nothing known", second(Parse[Ask]([]byte(`{"do":"stop","at":"2026-11-29T12:00:00Z"}`)))},
		{"removal of a path", second(Parse[Ask]([]byte(`{"do":"remove","at":"2026-11-29T12:00:00Z","node":"../x"}`)))},
		{"ask as an answer", second(Parse[Answer]([]byte(`{"do":"go","at":"2026-11-29T12:00:00Z"}`)))},
		{"boot", second(Parse[Alive]([]byte(`{"boot":"a b","clock":"2026-11-29T12:00:00Z"}`)))},
		{"TXT record of another token", second(Parse[TXT]([]byte(`{"account":"a","fqdn":"a.","value":"v","domain":"a","token":"t","key_authorization":"u.k"}`)))},
		{"TXT record without a name", second(Parse[TXT]([]byte(`{"account":"a","value":"v","domain":"a","token":"t","key_authorization":"t.k"}`)))},
		{"TXT record for a terminal", second(Parse[TXT]([]byte(`{"account":"a","fqdn":"\u001b[2J","value":"v","domain":"a","token":"t","key_authorization":"t.k"}`)))},
		{"sum of a path", second(Parse[Alive]([]byte(`{"boot":"a","clock":"2026-11-29T12:00:00Z","targets":{"/":"0"}}`)))},
		{"negative revision", second(Parse[Report]([]byte(`{"revision":-1}`)))},
		{"exception without serial", second(Parse[Report]([]byte(`{"exceptions":{"a":{"at":"2026-11-29T12:00:00Z"}}}`)))},
		{"nested", second(Parse[Record]([]byte(`{"ordering":` + strings.Repeat("[", 100_000))))},
	} {
		if tt.err == nil {
			t.Errorf("%s: accepted", tt.name)
		}
	}
}

// An ask for too much says of what.
func TestAskForTooMuch(t *testing.T) {
	ask := Ask{Do: Rollover, At: noon, CAs: slices.Repeat([]string{"pebble"}, maxLines+1)}
	if err := ask.check(); err == nil || err.Error() != "it asks for 10001 CAs" {
		t.Error(err)
	}
}

func second[T any](_ T, err error) error { return err }

// A message of another node cannot write to this one's terminal.
func TestTextIsCleaned(t *testing.T) {
	long := "a\u001b[2Jb\n" + strings.Repeat("ä", 5000)
	data, err := json.Marshal(Report{Exceptions: map[string]Exception{"a": {Serial: 1, Err: long, At: noon}}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse[Report](data)
	text := got.Exceptions["a"].Err
	if err != nil || !strings.HasPrefix(text, "a [2Jb ä") || len([]rune(text)) > maxText+3 || strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }) {
		t.Errorf("%q, %v", text, err)
	}
}

func TestKeys(t *testing.T) {
	token := strings.Repeat("t", 43)
	for key, want := range map[string]Key{
		FleetKey:                             {Kind: KindFleet},
		SeatKey:                              {Kind: KindSeat},
		LiveKey("*.example.org"):             {Kind: KindLive, Target: "*.example.org"},
		PairKey("a", "v000001"):              {Kind: KindPair, Target: "a", Version: "v000001"},
		OrderKey("a", "letsencrypt"):         {Kind: KindOrder, Target: "a", CA: "letsencrypt"},
		RecordKey("a"):                       {Kind: KindRecord, Target: "a"},
		AccountKey("letsencrypt"):            {Kind: KindAccount, CA: "letsencrypt"},
		OrderLogKey("letsencrypt", "8f4343"): {Kind: KindOrderLog, CA: "letsencrypt", Set: "8f4343"},
		CountsKey("letsencrypt"):             {Kind: KindCounts, CA: "letsencrypt"},
		TokenKey(token):                      {Kind: KindToken, Token: token},
		TXTKey(token):                        {Kind: KindTXT, Token: token},
		AskKey("mx1", "0f"):                  {Kind: KindAsk, Node: "mx1", Leaf: "0f"},
		AliveKey("mx1.example.org"):          {Kind: KindNode, Node: "mx1.example.org", Leaf: "alive"},
		ReportKey("mx1"):                     {Kind: KindNode, Node: "mx1", Leaf: "report"},
	} {
		got, ok := ParseKey(key)
		if !ok || got != want || !strings.HasPrefix(key, want.Kind.Prefix()) {
			t.Errorf("ParseKey(%q) = %+v, %v; want %+v", key, got, ok, want)
		}
	}
	for _, key := range []string{
		"", "/", "live", "live/", "live//", "live/a/b", "live/../a", "live/A", "live/*", "pairs/a", "pairs/a/b/c", "orders/a/", "nodes/mx1", "nodes/mx1/x",
		"nodes/*.a/alive", "tokens/short", "tokens/" + token + "=", "fleet/", "seats", "live/a\x00", "live/" + strings.Repeat("a", 300), "live/-a",
	} {
		if got, ok := ParseKey(key); ok {
			t.Errorf("ParseKey(%q) = %+v", key, got)
		}
	}
}

func TestSeat(t *testing.T) {
	term := NewID()
	if node, got, err := ParseSeat(SeatValue("mx1", term)); err != nil || node != "mx1" || got != term {
		t.Errorf("%q, %q, %v", node, got, err)
	}
	for _, value := range []string{"", "mx1", " " + term, "mx1 " + term[1:], "mx1 " + term + "0", "mx1 " + strings.ToUpper(term) + " ", "mx\x1b1 " + term, "mx1  " + term, strings.Repeat("a", 1<<20)} {
		if node, got, err := ParseSeat([]byte(value)); err == nil {
			t.Errorf("%.80q: %q, %q", value, node, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"serial":1,"version":"v1","fingerprint":"`+sha256+`","at":"2026-11-29T12:00:00Z","not_after":"2026-11-29T12:00:00Z"}`), "live/a")
	f.Add([]byte(`{"exceptions":{"a":{"serial":1,"error":"x"}}}`), "pairs/a/v1")
	f.Fuzz(func(t *testing.T, data []byte, key string) {
		if r, err := Parse[Release](data); err == nil && (r.Serial == 0 || r.Version == "" || strings.ContainsFunc(r.Held, unicode.IsControl)) {
			t.Errorf("%q: %+v", data, r)
		}
		for _, err := range []error{
			second(Parse[Fleet](data)), second(Parse[Pair](data)), second(Parse[Record](data)), second(Parse[Account](data)), second(Parse[OrderLog](data)),
			second(Parse[Counts](data)), second(Parse[Token](data)), second(Parse[Ask](data)), second(Parse[Answer](data)), second(Parse[Alive](data)), second(Parse[Report](data)),
		} {
			if err != nil && strings.ContainsFunc(err.Error(), func(c rune) bool { return c == 0x1b || c == 0 }) {
				t.Errorf("%q: %q", data, err)
			}
		}
		_, _, _ = ParseSeat(data)
		if k, ok := ParseKey(key); ok && strings.Contains(fmt.Sprint(k), "..") {
			t.Errorf("%q: %+v", key, k)
		}
	})
}
