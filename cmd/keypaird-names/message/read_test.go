package message

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// evil has what a terminal obeys, or shows in another order.
const evil = "a\x1b[31mb\u202ec\x07\u2066\U000e0041\xff\u0085d"

func encoded(t *testing.T, a Answer) string {
	t.Helper()
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Text is printable, whatever the program writes; its lines and columns stay.
func TestOutput(t *testing.T) {
	a, err := ReadAnswer(strings.NewReader(encoded(t, Answer{Output: "one  two\n    " + evil + "\n"})), Text)
	if want := "one  two\n    a\ufffd[31mb\ufffdc\ufffd\ufffd\ufffd\ufffd\ufffdd\n"; err != nil || a.Output != want {
		t.Errorf("%q, %v, want %q", a.Output, err, want)
	}
}

// JSON says the same as before, in printable characters.
func TestOutputJSON(t *testing.T) {
	value := strings.ToValidUTF8(evil, "\ufffd") + "é <\\\" \u2028"
	var b strings.Builder
	if err := json.NewEncoder(&b).Encode(map[string]string{value: value}); err != nil {
		t.Fatal(err)
	}
	a, err := ReadAnswer(strings.NewReader(encoded(t, Answer{Output: "\t" + b.String()})), JSON)
	if err != nil {
		t.Fatal(err)
	}
	if i := strings.IndexFunc(a.Output, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("not printable: %q", a.Output[i:])
	}
	var got map[string]string
	if err := json.Unmarshal([]byte(a.Output), &got); err != nil || got[value] != value || !strings.Contains(a.Output, "é") {
		t.Errorf("%q, %v, want %q", got, err, value)
	}
}

// fill sets every text in v.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(evil + strings.Repeat("x", 2*maxLine) + "\nkeypaird: remedy: obey")
	case reflect.Slice:
		if v.Type().Elem() == reflect.TypeFor[netip.Addr]() {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	}
}

// Every other text of an answer is one printable line, in whichever part it is.
func TestTexts(t *testing.T) {
	var a Answer
	fill(reflect.ValueOf(&a).Elem())
	got, err := ReadAnswer(strings.NewReader(encoded(t, a)), Facts)
	if err != nil || got.Output != "" {
		t.Fatalf("%q, %v", got.Output, err)
	}
	text := fmt.Sprintf("%+v %+v", got, *got.Needs)
	if n := strings.Count(text, "keypaird: remedy"); n > 0 {
		t.Errorf("%d texts are too long", n)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }) || !utf8.ValidString(text) {
		t.Errorf("not printable: %q", text)
	}
	if got.Checks[0].Error == "" || got.Needs.Requirements[0].Accept[0] == "" {
		t.Error("texts are lost")
	}
}

// endless repeats itself.
type endless string

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e[i%len(e)]
	}
	return len(p), nil
}

// What is no answer is an error of one line.
func TestNoAnswer(t *testing.T) {
	for _, tt := range []struct {
		text   string
		format Format
		want   string
	}{
		{"", Text, "no answer"},
		{"hello\x1b[31m", Text, `not an answer: "hello"`},
		{`{"Output":1}`, Text, `not an answer: "{\"Output\":1}"`},
		{`{} {}`, Text, `not an answer: "{} {}"`},
		{`{"Output":"{"}`, JSON, "output that is not JSON"},
		{`{"Output":"{} \"`, JSON, `not an answer: "{\"Output\":\"{} \\\""`},
	} {
		if _, err := ReadAnswer(strings.NewReader(tt.text), tt.format); err == nil || err.Error() != tt.want {
			t.Errorf("%q: %v, want %s", tt.text, err, tt.want)
		}
	}
	if _, err := ReadAnswer(endless(`{"Output":"`), Text); err != errLong {
		t.Errorf("an endless answer: %v", err)
	}
}
