package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"keypaird/renew/textfmt"
)

// leaves are the kinds of values that the TOML library decodes.
var leaves = map[reflect.Kind]struct{ what, remedy string }{
	reflect.String: {"a string", `write it in quotes: "..."`},
	reflect.Int:    {"a whole number", "write digits without quotes"},
	reflect.Bool:   {"true or false", "write true or false without quotes"},
}

// decode stores the value at p in v. The library stops at the first value of a
// wrong type and passes over unknown keys, so it decodes one value at a time.
func (d *document) decode(p path, v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Struct:
		switch to := v.Addr().Interface().(type) {
		case *Duration:
			to.Duration = d.decodeDuration(p, 1)
		case *Pause:
			to.Duration = d.decodeDuration(p, 0)
		default:
			d.decodeStruct(p, v)
		}
	case reflect.Map:
		d.decodeMap(p, v)
	case reflect.Slice:
		switch list := v.Addr().Interface().(type) {
		case *[]Endpoint:
			d.decodeEndpoints(p, list)
		case *Nodes:
			d.decodeNodes(p, list)
		default:
			d.decodeList(p, v)
		}
	default:
		if d.meta.PrimitiveDecode(d.value(p), v.Addr().Interface()) != nil {
			leaf := leaves[v.Kind()]
			d.reportUndecoded(p, leaf.remedy, "is %s, not %s", d.kind(p), leaf.what)
		}
	}
}

// kinds names the kinds of values as the library decodes them.
var kinds = map[string]string{
	"string": "a string", "int64": "a number", "float64": "a number with a fraction", "bool": "true or false",
	"[]interface {}": "a list", "map[string]interface {}": "a table", "[]map[string]interface {}": "a list of tables",
	"time.Time": "a date or time",
}

// kind names the kind of the value at p. The value itself may be a secret.
func (d *document) kind(p path) string {
	var data any
	d.meta.PrimitiveDecode(d.value(p), &data)
	return kindOf(data)
}

func kindOf(data any) string { return kinds[fmt.Sprintf("%T", data)] }

// fieldsOf returns the fields of a struct by their TOML keys.
func fieldsOf(v reflect.Value) map[string]reflect.Value {
	fields := map[string]reflect.Value{}
	for i := range v.NumField() {
		fields[v.Type().Field(i).Tag.Get("toml")] = v.Field(i)
	}
	return fields
}

func (d *document) decodeStruct(p path, v reflect.Value) {
	table := d.table(p)
	if table == nil {
		d.reportUndecoded(p, "write ["+p.String()+"] and its keys on lines below", "is %s, not a table", d.kind(p))
		return
	}
	fields := fieldsOf(v)
	for _, key := range slices.Sorted(maps.Keys(table)) {
		p := p.child(key)
		if field, ok := fields[key]; ok {
			d.decode(p, field)
			continue
		}
		near := textfmt.Nearest(key, slices.Collect(maps.Keys(fields)))
		d.reportUndecoded(p, d.unknownRemedy(p, near, fields), "unknown key")
		if sibling := append(p[:len(p)-1:len(p)-1], near); near != "" && !d.isSet(sibling) {
			d.undecodedPaths = append(d.undecodedPaths, sibling) // it is not missing as well
		}
	}
}

// listNames is the remedy for a [cert] table without names.
const listNames = `list names by challenge: http-01 = ["mail.example.org"]`

// unknownRemedy says what may have been meant by the unknown key at p. near is the
// known key that is most like it, or "".
func (d *document) unknownRemedy(p path, near string, fields map[string]reflect.Value) string {
	isTable := d.table(p) != nil
	p, key := p[:len(p)-1], p[len(p)-1]
	switch {
	case len(p) == 2 && p[0] == "cert" && slices.Contains([]string{"names", "name", "domains", "domain", "hosts"}, key):
		return listNames
	case near != "":
		return fmt.Sprintf("did you mean %q?", near)
	case isTable && len(p) == 2 && len(tablesWith(key)) == 0:
		return "put a name with dots in quotes: [" + path{p[0], p[1] + "." + key}.String() + "]"
	case len(p) == 2 && p[0] == "dns" && variablePattern().MatchString(key):
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

// tablesWith returns where a key is known: one that stands too far down is taken
// for a key of the table above it.
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
		if t.Kind() == reflect.Struct {
			if _, ok := fieldsOf(reflect.New(t).Elem())[key]; ok {
				homes = append(homes, home)
			}
		}
	}
	return homes
}

// decodeMap fills a map from names to tables, or that of a DNS account's
// variables.
func (d *document) decodeMap(p path, v reflect.Value) {
	elem := v.Type().Elem()
	tables := elem.Kind() == reflect.Struct
	remedy := "give each table a name: [" + p.String() + ".NAME]"
	switch elem {
	case reflect.TypeFor[string]():
		remedy = "write " + p[len(p)-1] + ` = { VARIABLE = "..." }`
	case reflect.TypeFor[Identity]():
		remedy = "give each table the name of its domain: [" + p.String() + `."example.org"]`
	}
	table := d.table(p)
	if table == nil {
		d.reportUndecoded(p, remedy, "is %s, not a table", d.kind(p))
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	reported := false
	for _, key := range slices.Sorted(maps.Keys(table)) {
		value, p := reflect.New(elem).Elem(), p.child(key)
		switch isTable := d.table(p) != nil; {
		case tables && !isTable:
			if !reported {
				d.reportUndecoded(p, remedy, "stands in [%v] itself", p[:len(p)-1])
				reported = true
			}
		case tables && d.unquoted(p, value):
		default:
			d.decode(p, value)
			v.SetMapIndex(reflect.ValueOf(key), value)
		}
	}
}

// unquoted finds [identity.example.org], in which TOML sees three tables. It
// reports whether the table at p has nothing but such names in it.
func (d *document) unquoted(p path, table reflect.Value) bool {
	keys := slices.Sorted(maps.Keys(d.table(p)))
	if slices.ContainsFunc(keys, func(key string) bool { return d.table(p.child(key)) == nil }) {
		return false
	}
	known := slices.Collect(maps.Keys(fieldsOf(table)))
	for _, key := range keys {
		if slices.Contains(known, key) || textfmt.Nearest(key, known) != "" {
			return false
		}
	}
	for _, key := range keys {
		if inner := p.child(key); !d.unquoted(inner, table) {
			name := path{p[0], strings.Join(inner[1:], ".")}
			d.reportUndecoded(inner, "put it in quotes: ["+name.String()+"]", "a name with dots stands without quotes")
		}
	}
	return len(keys) > 0
}

// decodeList decodes a list of strings.
func (d *document) decodeList(p path, v reflect.Value) {
	if d.meta.PrimitiveDecode(d.value(p), v.Addr().Interface()) == nil {
		return
	}
	var data any
	d.meta.PrimitiveDecode(d.value(p), &data)
	list, ok := data.([]any)
	if !ok {
		d.reportUndecoded(p, `write a list: ["...", "..."]`, "is %s, not a list", kindOf(data))
		return
	}
	i := slices.IndexFunc(list, func(item any) bool { return kindOf(item) != "a string" })
	d.reportUndecoded(p, `put each item in quotes: ["...", "..."]`, "item %d is %s, not a string", i+1, kindOf(list[i]))
	v.SetZero()
}

// decodeEndpoints decodes a list of strings and inline tables.
func (d *document) decodeEndpoints(p path, to *[]Endpoint) {
	const remedy = `write "host:port" or { endpoint = "host:port", names = ["..."] }`
	var list []any
	if d.meta.PrimitiveDecode(d.value(p), &list) != nil {
		d.reportUndecoded(p, `write a list: ["...", "..."]`, "is %s, not a list", d.kind(p))
		return
	}
	for i, item := range list {
		var e Endpoint
		mistakes := len(d.mistakes)
		switch item := item.(type) {
		case string:
			e.Endpoint = item
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(item)) {
				ok := false
				switch key {
				case "endpoint":
					e.Endpoint, ok = item[key].(string)
				case "names":
					e.Names, ok = stringsOf(item[key])
				default:
					d.report(p, suggest(key, []string{"endpoint", "names"}), "item %d: unknown key %q", i+1, key)
					continue
				}
				d.reportIf(!ok, p, remedy, "item %d: %s is empty or of the wrong type", i+1, key)
			}
		default:
			d.report(p, remedy, "item %d is %s, not an endpoint", i+1, kindOf(item))
		}
		if len(d.mistakes) == mistakes {
			*to = append(*to, e)
		}
	}
}

// stringsOf returns a list of strings, and whether data is one.
func stringsOf(data any) (texts []string, ok bool) {
	list, ok := data.([]any)
	texts = make([]string, len(list))
	for i, item := range list {
		s, isText := item.(string)
		texts[i], ok = s, ok && isText
	}
	return texts, ok
}

// maxDuration bounds every wait that can be configured.
const maxDuration = 24 * time.Hour

// decodeDuration returns a duration of at least least.
func (d *document) decodeDuration(p path, least time.Duration) time.Duration {
	const remedy = `write a number and a unit: "90s", "2m", "1h30m"`
	var s string
	if d.meta.PrimitiveDecode(d.value(p), &s) != nil {
		d.reportUndecoded(p, remedy, "is %s, not a duration in quotes", d.kind(p))
		return 0
	}
	wait, err := time.ParseDuration(s)
	switch {
	case err != nil:
		d.reportUndecoded(p, remedy, "%q is not a duration", s)
	case wait < least:
		d.reportUndecoded(p, "write more than that, or leave the key out for its default", "%q is not a positive duration", s)
	case wait > maxDuration:
		d.reportUndecoded(p, `write at most "24h"`, "%q is too long", s)
	default:
		return wait
	}
	return 0
}
