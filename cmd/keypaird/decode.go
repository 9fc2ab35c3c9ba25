package main

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// A Mistake is one thing that is wrong with the configuration.
type Mistake struct {
	File    string
	Line    int    // from 1; 0 if the file as a whole is meant
	Key     string // as in TOML: identity."example.org".host; "" for the file
	Problem string // what is wrong, with the value
	Remedy  string // what would be right
}

func (m Mistake) Error() string {
	where := m.File
	if m.Line > 0 {
		where += ":" + strconv.Itoa(m.Line)
	}
	if m.Key != "" {
		where += ": " + m.Key
	}
	return where + ": " + m.Problem
}

// Mistakes are all that is wrong with the configuration, by line.
type Mistakes []Mistake

func (m Mistakes) Error() string {
	if len(m) == 1 {
		return m[0].Error()
	}
	return fmt.Sprintf("%v (and %d more mistakes)", m[0], len(m)-1)
}

// Remedy is that of the first.
func (m Mistakes) Remedy() string { return m[0].Remedy }

// A reader turns the text of a configuration into a Config and collects every
// mistake on the way. The TOML library stops at the first value of a wrong type
// and passes over unknown keys, so the values are taken over one by one.
type reader struct {
	file     string
	text     string
	values   map[string]any // as decoded
	mistakes Mistakes
}

// path is the way to a value: table names and the key.
type path []string

// in returns the path of a key below p.
func (p path) in(key ...string) path { return append(slices.Clone(p), key...) }

func (p path) String() string { return toml.Key(p).String() }

// wrong notes a mistake at p.
func (r *reader) wrong(p path, remedy, problem string, args ...any) {
	r.mistakes = append(r.mistakes, Mistake{
		File: r.file, Line: r.line(p), Key: p.String(), Problem: fmt.Sprintf(problem, args...), Remedy: remedy,
	})
}

// parse reads the text. What follows a syntax error cannot be judged, so it is
// the only mistake then.
func (r *reader) parse() bool {
	_, err := toml.Decode(r.text, &r.values)
	if err == nil {
		return true
	}
	m := Mistake{File: r.file, Problem: strings.TrimPrefix(err.Error(), "toml: "), Remedy: "correct the TOML syntax there: https://toml.io"}
	var pe toml.ParseError
	if errors.As(err, &pe) {
		m.Line, m.Problem = pe.Position.Line, pe.Message
	}
	m.Problem = strings.Join(strings.Fields(m.Problem), " ")
	r.mistakes = append(r.mistakes, m)
	return false
}

// A probe makes the TOML library say where a key is: a decoder that fails is
// reported with its line.
type lineProbe struct{}

var errHere = errors.New("here")

// UnmarshalTOML implements toml.Unmarshaler.
func (*lineProbe) UnmarshalTOML(any) error { return errHere }

// line returns the line of p, or of what contains it, or 0.
func (r *reader) line(p path) int {
	for ; len(p) > 0; p = p[:len(p)-1] {
		t := reflect.TypeFor[lineProbe]()
		for _, key := range slices.Backward(p) {
			tag := reflect.StructTag("toml:" + strconv.Quote(key))
			t = reflect.StructOf([]reflect.StructField{{Name: "X", Type: t, Tag: tag}})
		}
		_, err := toml.Decode(r.text, reflect.New(t).Interface())
		var pe toml.ParseError
		if errors.As(err, &pe) && pe.Position.Line > 0 {
			return pe.Position.Line
		}
	}
	return 0
}

// isSet reports whether the file has a value at p.
func (r *reader) isSet(p path) bool {
	var v any = r.values
	for _, key := range p {
		table, ok := v.(map[string]any)
		if !ok {
			return false
		}
		if v, ok = table[key]; !ok {
			return false
		}
	}
	return true
}

// take stores data, the value at p, in v.
func (r *reader) take(p path, data any, v reflect.Value) {
	switch v.Interface().(type) {
	case Duration:
		r.takeDuration(p, data, v)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		r.take(p, data, v.Elem())
	case reflect.Struct:
		if table, ok := r.table(p, data); ok {
			r.takeStruct(p, table, v)
		}
	case reflect.Map:
		if table, ok := r.table(p, data); ok {
			r.takeMap(p, table, v)
		}
	case reflect.Slice:
		r.takeList(p, data, v)
	case reflect.String:
		if s, ok := data.(string); ok {
			v.SetString(s)
		} else {
			r.wrongType(p, data, `a string: "..."`)
		}
	case reflect.Int:
		if n, ok := data.(int64); ok {
			v.SetInt(n)
		} else {
			r.wrongType(p, data, "a number without quotes")
		}
	case reflect.Bool:
		if b, ok := data.(bool); ok {
			v.SetBool(b)
		} else {
			r.wrongType(p, data, "true or false")
		}
	}
}

func (r *reader) wrongType(p path, data any, want string) {
	r.wrong(p, "write "+want, "is %s, not %s", describe(data), want)
}

// describe names a value and its kind, for messages.
func describe(data any) string {
	switch v := data.(type) {
	case string:
		return "the string " + strconv.Quote(v)
	case int64, float64:
		return fmt.Sprintf("the number %v", v)
	case bool:
		return fmt.Sprint(v)
	case []any, []map[string]any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return fmt.Sprintf("%v", data)
}

func (r *reader) table(p path, data any) (map[string]any, bool) {
	table, ok := data.(map[string]any)
	if !ok {
		r.wrongType(p, data, "a table: ["+p.String()+"]")
	}
	return table, ok
}

// takeStruct fills a struct whose fields are named by their toml tags.
func (r *reader) takeStruct(p path, table map[string]any, v reflect.Value) {
	fields := map[string]reflect.Value{}
	for i := range v.NumField() {
		fields[v.Type().Field(i).Tag.Get("toml")] = v.Field(i)
	}
	for _, key := range slices.Sorted(maps.Keys(table)) {
		field, ok := fields[key]
		if !ok {
			remedy := "known here: " + strings.Join(slices.Sorted(maps.Keys(fields)), " ")
			if near := nearest(key, fields); near != "" {
				remedy = fmt.Sprintf("did you mean %q?", near)
			}
			r.wrong(p.in(key), remedy, "unknown key")
			continue
		}
		r.take(p.in(key), table[key], field)
	}
}

func (r *reader) takeMap(p path, table map[string]any, v reflect.Value) {
	v.Set(reflect.MakeMap(v.Type()))
	for _, key := range slices.Sorted(maps.Keys(table)) {
		value := reflect.New(v.Type().Elem()).Elem()
		r.take(p.in(key), table[key], value)
		v.SetMapIndex(reflect.ValueOf(key), value)
	}
}

func (r *reader) takeList(p path, data any, v reflect.Value) {
	list, ok := data.([]any)
	if !ok {
		r.wrongType(p, data, `a list: ["..."]`)
		return
	}
	out := reflect.MakeSlice(v.Type(), 0, len(list))
	for _, item := range list {
		s, ok := item.(string)
		if !ok {
			r.wrong(p, `write strings: ["..."]`, "holds %s, not only strings", describe(item))
			continue
		}
		out = reflect.Append(out, reflect.ValueOf(s))
	}
	v.Set(out)
}

func (r *reader) takeDuration(p path, data any, v reflect.Value) {
	s, ok := data.(string)
	if !ok {
		r.wrongType(p, data, `a duration: "2m"`)
		return
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		r.wrong(p, `write a number and a unit: "90s", "2m", "1h30m"`, "%q is not a duration", s)
	case d <= 0:
		r.wrong(p, `write more than nothing: "2m"`, "%q is no time at all", s)
	case d > maxDuration:
		r.wrong(p, "write at most "+maxDuration.String(), "%q is too long", s)
	default:
		v.Set(reflect.ValueOf(Duration{d}))
	}
}

// maxDuration bounds every wait that can be configured.
const maxDuration = 24 * time.Hour

// nearest returns the known key that is most like key, or "".
func nearest[V any](key string, known map[string]V) string {
	best, least := "", 3
	if len(key) <= 3 {
		least = 2
	}
	for _, k := range slices.Sorted(maps.Keys(known)) {
		if strings.EqualFold(strings.NewReplacer("_", "", "-", "").Replace(key), strings.NewReplacer("_", "", "-", "").Replace(k)) {
			return k
		}
		if d := distance(key, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is the number of letters to change, add or leave out, or pairs to
// swap, to make a of b.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
