package status

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// A schema is as much of JSON Schema as schema.json uses.
type schema struct {
	Ref         string             `json:"$ref"`
	Defs        map[string]*schema `json:"$defs"`
	Type        string             `json:"type"`
	Description string             `json:"description"`
	Required    []string           `json:"required"`
	Properties  map[string]*schema `json:"properties"`
	Additional  *bool              `json:"additionalProperties"`
	Items       *schema            `json:"items"`
	Enum        []string           `json:"enum"`
	Pattern     string             `json:"pattern"`
	Format      string             `json:"format"`
	Minimum     *float64           `json:"minimum"`

	// Of the file, for people.
	Schema string `json:"$schema"`
	Title  string `json:"title"`
}

func readSchema(t testing.TB) *schema {
	t.Helper()
	f, err := os.Open("schema.json")
	must(t, err)
	defer f.Close()
	var s schema
	dec := json.NewDecoder(f)
	dec.DisallowUnknownFields() // what the test would not check
	must(t, dec.Decode(&s))
	return &s
}

// check lists what is wrong with v.
func (s *schema) check(root *schema, path string, v any) (wrong []string) {
	if s.Ref != "" {
		def := root.Defs[strings.TrimPrefix(s.Ref, "#/$defs/")]
		if def == nil {
			return []string{path + ": no definition " + s.Ref}
		}
		return def.check(root, path, v)
	}
	bad := func(format string, args ...any) { wrong = append(wrong, path+": "+fmt.Sprintf(format, args...)) }
	switch v := v.(type) {
	case map[string]any:
		if s.Type != "object" {
			bad("an object, not of type %q", s.Type)
		}
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				bad("%s is missing", name)
			}
		}
		for name, value := range v {
			if p := s.Properties[name]; p != nil {
				wrong = append(wrong, p.check(root, path+"."+name, value)...)
			} else {
				bad("%s is not documented", name)
			}
		}
	case []any:
		if s.Type != "array" {
			bad("an array, not of type %q", s.Type)
		}
		for i, value := range v {
			wrong = append(wrong, s.Items.check(root, fmt.Sprintf("%s[%d]", path, i), value)...)
		}
	case string:
		wrong = append(wrong, s.checkText(path, v)...)
	case bool:
		if s.Type != "boolean" {
			bad("a boolean, not of type %q", s.Type)
		}
	case float64:
		if s.Type != "integer" || v != float64(int(v)) || s.Minimum != nil && v < *s.Minimum {
			bad("%v, not of type %q", v, s.Type)
		}
	default:
		bad("%v, not of type %q", v, s.Type)
	}
	return wrong
}

func (s *schema) checkText(path, v string) (wrong []string) {
	if s.Type != "string" {
		wrong = append(wrong, path+": a string, not of type "+s.Type)
	}
	if s.Enum != nil && !slices.Contains(s.Enum, v) {
		wrong = append(wrong, fmt.Sprintf("%s: %q is none of %q", path, v, s.Enum))
	}
	if s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v) {
		wrong = append(wrong, fmt.Sprintf("%s: %q does not match %s", path, v, s.Pattern))
	}
	if s.Format == "date-time" {
		if at, err := time.Parse(time.RFC3339, v); err != nil || at.Nanosecond() != 0 || !strings.HasSuffix(v, "Z") {
			wrong = append(wrong, fmt.Sprintf("%s: %q is not a time in whole seconds, UTC", path, v))
		}
	}
	return wrong
}

// The document is what schema.json says.
func TestSchemaHolds(t *testing.T) {
	s := readSchema(t)
	data, err := json.Marshal(newDesk(t).document())
	must(t, err)
	var doc any
	must(t, json.Unmarshal(data, &doc))
	for _, wrong := range s.check(s, "document", doc) {
		t.Error(wrong)
	}
	for _, tt := range []string{
		`{}`, `{"time":1,"healthy":true,"targets":[]}`, `{"time":"2026-03-01","healthy":true,"targets":[]}`,
		`{"time":"2026-03-01T12:00:00+01:00","healthy":true,"targets":[]}`, `{"time":"2026-03-01T12:00:00Z","healthy":"","targets":[]}`,
		`{"time":"2026-03-01T12:00:00Z","healthy":true,"targets":null}`, `{"time":"2026-03-01T12:00:00Z","healthy":true,"targets":[],"more":1}`,
	} {
		var doc any
		must(t, json.Unmarshal([]byte(tt), &doc))
		if len(s.check(s, "document", doc)) == 0 {
			t.Errorf("nothing is wrong with %s", tt)
		}
	}
}

// What schema.json describes is what there is: every field, whether some
// document of the tests has it or not, and every state.
func TestSchemaIsWhole(t *testing.T) {
	s := readSchema(t)
	seen := map[string]bool{}
	s.whole(t, reflect.TypeFor[Document](), seen)
	for name := range s.Defs {
		if !seen[name] {
			t.Errorf("%s is described, and not there", name)
		}
	}
	if got := s.Defs["Target"].Properties["state"].Enum; !slices.Equal(got, States()) {
		t.Errorf("states of a target: %q, want %q", got, States())
	}
	if got := s.Defs["Deployment"].Properties["state"].Enum; !slices.Equal(got, DeploymentStates()) {
		t.Errorf("states of a deployment: %q, want %q", got, DeploymentStates())
	}
}

func (s *schema) whole(t *testing.T, typ reflect.Type, seen map[string]bool) {
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[time.Time]() || seen[typ.Name()] {
		return
	}
	seen[typ.Name()] = true
	def := s.Defs[typ.Name()]
	if def == nil {
		t.Errorf("%s is not described", typ.Name())
		return
	}
	if def.Additional == nil || *def.Additional {
		t.Errorf("%s: schema.json allows for anything", typ.Name())
	}
	documented := len(def.Properties)
	for field := range typ.Fields() {
		if !field.IsExported() {
			continue
		}
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		p := def.Properties[name]
		if p == nil || p.Description == "" {
			t.Errorf("%s.%s is not described", typ.Name(), name)
		}
		if always := options == ""; always != slices.Contains(def.Required, name) {
			t.Errorf("%s.%s: there always is %t, required %t", typ.Name(), name, always, !always)
		}
		documented--
		s.whole(t, field.Type, seen)
	}
	if documented != 0 {
		t.Errorf("%s: schema.json describes %d more than there is", typ.Name(), documented)
	}
}
