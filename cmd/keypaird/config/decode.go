package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

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
