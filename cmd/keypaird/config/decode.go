package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// A reader turns the text of a configuration into a Config and collects every
// mistake on the way. The TOML library stops at the first value of a wrong type
// and passes over unknown keys, so the values are taken over one by one.
type reader struct {
	file           string
	text           string
	values         map[string]any // as decoded
	mistakes       Mistakes
	mistakePaths   []path // of the mistakes
	undecodedPaths []path // of values that could not be taken over

	// For the lines of mistakes; owned by undecoded.
	meta   toml.MetaData
	keys   []toml.Key
	tables map[string]map[string]toml.Primitive
}

// reportUndecoded records that the value at p cannot be decoded. Mistakes that
// would follow from its absence are then not reported.
func (r *reader) reportUndecoded(p path, remedy, problem string, args ...any) {
	r.report(p, remedy, problem, args...)
	r.undecodedPaths = append(r.undecodedPaths, p)
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

// decode stores data, the value at p, in v.
func (r *reader) decode(p path, data any, v reflect.Value) {
	if _, ok := v.Interface().(Duration); ok {
		r.decodeDuration(p, data, v)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		r.decode(p, data, v.Elem())
	case reflect.Struct:
		if table, ok := data.(map[string]any); ok {
			r.decodeStruct(p, table, v)
		} else {
			r.reportUndecoded(p, "write ["+p.String()+"] and its keys on lines below", "is %s, not a table", kindOf(data))
		}
	case reflect.Map:
		r.decodeMap(p, data, v)
	case reflect.Slice:
		r.decodeList(p, data, v)
	case reflect.String:
		if s, ok := data.(string); ok {
			v.SetString(s)
		} else {
			r.reportUndecoded(p, `write it in quotes: "..."`, "is %s, not a string", kindOf(data))
		}
	case reflect.Int:
		if n, ok := data.(int64); ok {
			v.SetInt(n)
		} else {
			r.reportUndecoded(p, "write digits without quotes", "is %s, not a whole number", kindOf(data))
		}
	case reflect.Bool:
		if b, ok := data.(bool); ok {
			v.SetBool(b)
		} else {
			r.reportUndecoded(p, "write true or false without quotes", "is %s, not true or false", kindOf(data))
		}
	}
}

// kindOf names the kind of a value. The value itself may be a secret.
func kindOf(data any) string {
	switch data.(type) {
	case string:
		return "a string"
	case int64:
		return "a number"
	case float64:
		return "a number with a fraction"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	case []map[string]any:
		return "a list of tables"
	case map[string]any:
		return "a table"
	}
	return "a date or time"
}

// fieldsOf returns the fields of a struct by their TOML keys.
func fieldsOf(v reflect.Value) map[string]reflect.Value {
	fields := map[string]reflect.Value{}
	for i := range v.NumField() {
		fields[v.Type().Field(i).Tag.Get("toml")] = v.Field(i)
	}
	return fields
}

func (r *reader) decodeStruct(p path, table map[string]any, v reflect.Value) {
	fields := fieldsOf(v)
	for _, key := range slices.Sorted(maps.Keys(table)) {
		if field, ok := fields[key]; ok {
			r.decode(p.child(key), table[key], field)
		} else {
			near := Nearest(key, slices.Collect(maps.Keys(fields)))
			r.reportUndecoded(p.child(key), unknownRemedy(p, key, near, table[key], fields), "unknown key")
			if near != "" && !r.isSet(p.child(near)) {
				r.undecodedPaths = append(r.undecodedPaths, p.child(near)) // it is not missing as well
			}
		}
	}
}

// unknownRemedy says what may have been meant by an unknown key of the table p.
// near is the known key that is most like it, or "".
func unknownRemedy(p path, key, near string, value any, fields map[string]reflect.Value) string {
	_, isTable := value.(map[string]any)
	switch {
	case near != "":
		return fmt.Sprintf("did you mean %q?", near)
	case isTable && len(p) == 2 && len(tablesWith(key)) == 0:
		return "put a name with dots in quotes: [" + path{p[0], p[1] + "." + key}.String() + "]"
	case len(p) == 2 && p[0] == "dns" && variablePattern.MatchString(key):
		return "put the provider's variables into env: env = { " + key + ` = "..." }`
	}
	if homes := tablesWith(key); len(homes) > 0 {
		return "its place is " + strings.Join(homes, " or ")
	}
	where := "in [" + p.String() + "]"
	if len(p) == 0 {
		where = "at the top"
	}
	return "known " + where + ": " + strings.Join(slices.Sorted(maps.Keys(fields)), " ")
}

// tablesWith returns where a key is known: a key that stands too far down belongs to the table
// above it.
func tablesWith(key string) []string {
	var homes []string
	top := fieldsOf(reflect.ValueOf(Config{}))
	if _, ok := top[key]; ok {
		homes = append(homes, "at the top of the file, before the first [table]")
	}
	for _, table := range slices.Sorted(maps.Keys(top)) {
		home, t := "in ["+table+"]", top[table].Type()
		if t.Kind() == reflect.Map {
			home, t = "in ["+table+".NAME]", t.Elem()
		}
		if t.Kind() != reflect.Struct {
			continue
		}
		if _, ok := fieldsOf(reflect.New(t).Elem())[key]; ok {
			homes = append(homes, home)
		}
	}
	return homes
}

// decodeMap fills a map from names to tables, or that of a DNS account's
// variables.
func (r *reader) decodeMap(p path, data any, v reflect.Value) {
	elem := v.Type().Elem()
	tables := elem.Kind() == reflect.Struct
	remedy := "write " + p[len(p)-1] + ` = { VARIABLE = "..." }`
	if tables {
		remedy = "give each table a name: [" + p.String() + ".NAME]"
		if elem == reflect.TypeFor[Identity]() {
			remedy = "give each table the name of its domain: [" + p.String() + `."example.org"]`
		}
	}
	table, ok := data.(map[string]any)
	if !ok {
		r.reportUndecoded(p, remedy, "is %s, not a table", kindOf(data))
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	reported := false
	for _, key := range slices.Sorted(maps.Keys(table)) {
		value := reflect.New(elem).Elem()
		inner, isTable := table[key].(map[string]any)
		switch {
		case tables && !isTable && !reported:
			r.reportUndecoded(p.child(key), remedy, "stands in [%v] itself", p)
			reported = true
		case tables && !isTable:
		case tables && r.unquoted(p.child(key), inner, fieldsOf(value)):
		default:
			r.decode(p.child(key), table[key], value)
			v.SetMapIndex(reflect.ValueOf(key), value)
		}
	}
}

// unquoted finds [identity.example.org], in which TOML sees three tables. It
// reports whether the table at p has nothing but such names in it.
func (r *reader) unquoted(p path, table map[string]any, fields map[string]reflect.Value) bool {
	known := slices.Collect(maps.Keys(fields))
	for key, value := range table {
		if _, isTable := value.(map[string]any); !isTable || slices.Contains(known, key) || Nearest(key, known) != "" {
			return false
		}
	}
	for _, key := range slices.Sorted(maps.Keys(table)) {
		if inner := table[key].(map[string]any); !r.unquoted(p.child(key), inner, fields) {
			name := path{p[0], strings.Join(p.child(key)[1:], ".")}
			r.reportUndecoded(p.child(key), "put it in quotes: ["+name.String()+"]", "a name with dots stands without quotes")
		}
	}
	return len(table) > 0
}

func (r *reader) decodeList(p path, data any, v reflect.Value) {
	list, ok := data.([]any)
	if !ok {
		r.reportUndecoded(p, `write a list: ["...", "..."]`, "is %s, not a list", kindOf(data))
		return
	}
	out := reflect.MakeSlice(v.Type(), 0, len(list))
	for i, item := range list {
		s, ok := item.(string)
		if !ok {
			r.reportUndecoded(p, `put each item in quotes: ["...", "..."]`, "item %d is %s, not a string", i+1, kindOf(item))
			return
		}
		out = reflect.Append(out, reflect.ValueOf(s))
	}
	v.Set(out)
}

// maxDuration bounds every wait that can be configured.
const maxDuration = 24 * time.Hour

func (r *reader) decodeDuration(p path, data any, v reflect.Value) {
	const remedy = `write a number and a unit: "90s", "2m", "1h30m"`
	s, ok := data.(string)
	if !ok {
		r.reportUndecoded(p, remedy, "is %s, not a duration in quotes", kindOf(data))
		return
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		r.reportUndecoded(p, remedy, "%q is not a duration", s)
	case d <= 0:
		r.reportUndecoded(p, "write more than that, or leave the key out for its default", "%q is not a positive duration", s)
	case d > maxDuration:
		r.reportUndecoded(p, `write at most "24h"`, "%q is too long", s)
	default:
		v.Set(reflect.ValueOf(Duration{d}))
	}
}

const byteOrderMark = "\ufeff"

// maxBrackets keeps lists in lists in lists from overflowing the stack of the
// TOML library, which nothing could recover from.
const maxBrackets = 1_000_000

// parse reads the text. What follows a syntax error cannot be read, so it is
// the only mistake then.
func (r *reader) parse() bool {
	r.text = strings.TrimPrefix(r.text, byteOrderMark)
	if at := invalidByte(r.text); at >= 0 {
		r.syntaxMistake(at, "", "not text in UTF-8, or a control character", "save the file as plain text in UTF-8")
		return false
	}
	if strings.Count(r.text, "[")+strings.Count(r.text, "{") > maxBrackets {
		r.syntaxMistake(0, "", "more brackets than any configuration has", "see that it is the configuration of keypaird")
		return false
	}
	_, err := toml.Decode(r.text, &r.values)
	if err == nil {
		return true
	}
	var at toml.ParseError
	errors.As(err, &at)
	key, problem, remedy := explain(at)
	r.syntaxMistake(at.Position.Start, key, problem, remedy)
	return false
}

// syntaxMistake notes a mistake at an offset.
func (r *reader) syntaxMistake(offset int, key, problem, remedy string) {
	last := len(strings.TrimRight(r.text, "\r\n \t")) // the end of the file is a line that nobody sees
	r.mistakes = append(r.mistakes, Mistake{
		File: Printable(r.file, maxMessage), Line: r.lineAt(min(offset, last)),
		Key: Printable(key, maxShown), Problem: problem, Remedy: remedy,
	})
}

// invalidByte returns the offset of the first byte that no TOML file has, or -1.
func invalidByte(text string) int {
	for i, c := range text {
		switch {
		case c == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)):
			return i
		case c == '\r' && strings.HasPrefix(text[i:], "\r\n"), c == '\n', c == '\t':
		case c < ' ', c == 0x7f:
			return i
		}
	}
	return -1
}

// syntaxErrors are the library's messages in the words of an operator. Its own
// repeat values, which may be secrets.
var syntaxErrors = []struct {
	like            string
	value           bool // of a key, which can be named
	problem, remedy string
}{
	{"key separator '='", false, "a key without a value", plainKey},
	{"unexpected EOF", true, "the file ends inside a string, list or table", "close what was opened with a quote, bracket or brace"},
	{"expected value", true, "a value that is not TOML", plainText},
	{"strings cannot contain newlines", true, "a string that does not end on its line", "close it with a quote"},
	{"leading zero", true, "a number that begins with 0", `put permissions in quotes: "0640"`},
	{"expected a top-level item to end", false, "something stands behind the value or table", "write one key a line, text in quotes, lists in [brackets], and # before a comment"},
	{"table names cannot be empty", false, "a table without a name", "write [table] or [table.name]"},
	{"to end table name", false, "a table name that is not TOML", `close it with ], and put names with other characters in quotes: [identity."example.org"]`},
	{"array name delimiter", false, "a table name that is not closed", "write [table], in single brackets"},
	{"'.' or '='", false, "neither a table nor a key with a value", plainKey + ", and # before a comment"},
	{"key name appears blank", false, "a value without a key", plainKey},
	{"keys cannot start with a '.'", false, "a key that begins with a dot", plainKey},
	{"unexpected '='", false, "a key without a name", plainKey},
	{"unexpected '.'", false, "an extra dot", `put names with dots in quotes: "example.org"`},
	{"comma", true, "a list or inline table with a comma missing or too many, or not closed", `write ["one", "two"] or { KEY = "one", OTHER = "two" }`},
	{"escape", true, noEscape, literal},
	{"hexadecimal digits after", true, noEscape, literal},
	{"is not valid UTF-8", true, noEscape, literal},
	{"out of range", true, "a number that is too large", plainText},
	{"datetime", true, "a date that is not TOML", plainText},
	{"nteger", true, noNumber, plainText},
	{"float", true, noNumber, plainText},
	{"digit", true, noNumber, plainText},
	{"number", true, noNumber, plainText},
}

const (
	plainKey  = `write key = "text"`
	plainText = `put text in plain double quotes: key = "text"`
	noNumber  = "a number that is not TOML"
	noEscape  = `a \ that TOML does not know in "double quotes"`
	literal   = `write \\, or put the text in 'single quotes'`
)

var definedTwice = regexp.MustCompile(`^Key '(.*)' (?:has already been defined|was already created)`)

// explain says what an error of the TOML library means.
func explain(err toml.ParseError) (key, problem, remedy string) {
	if m := definedTwice.FindStringSubmatch(err.Message); m != nil {
		return m[1], "stands twice in the file", "write it once"
	}
	for _, e := range syntaxErrors {
		switch {
		case !strings.Contains(err.Message, e.like):
		case e.value:
			return err.LastKey, e.problem, e.remedy
		default:
			return "", e.problem, e.remedy
		}
	}
	return "", "not TOML", "see https://toml.io for what TOML looks like"
}
