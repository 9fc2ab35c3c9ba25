package status

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"unicode"
)

// evil reverses the text behind it, on a terminal and in a browser.
const evil = "a\u202eb\u2066c\u200bd\u2028e\x1b[2Jf"

// fill sets every text in v, one element of each list included.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(evil)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() && v.Type().PkgPath() != "time" {
				fill(f)
			}
		}
	}
}

// Whatever text a document has, from a CA, a resolver or a server, nothing shows it raw.
func TestUnprintable(t *testing.T) {
	var doc Document
	fill(reflect.ValueOf(&doc).Elem())
	var text bytes.Buffer
	must(t, doc.WriteText(&text))
	shown := map[string]string{"text": text.String()}
	s := serving(doc)
	for _, path := range paths() {
		shown[path] = ask(s, http.MethodGet, path).Body.String()
	}
	for where, text := range shown {
		if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%s: %q", where, text[max(0, i-60):min(len(text), i+20)])
		}
	}
	var read Document
	must(t, json.Unmarshal([]byte(shown["/status.json"]), &read))
	if read.Targets[0].Name != evil {
		t.Errorf("a program reads %q, want %q", read.Targets[0].Name, evil)
	}
}
