package answer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// An object is a JSON object, its members not decoded yet.
type object map[string]json.RawMessage

// A form is what a member has to be.
type form int

const (
	text form = iota
	flag
	date
	texts
	textMap
	single
	several
)

// fits reports whether raw has the form. It is JSON, so its first character says what it
// is; what is in a list of objects is seen when that is decoded.
func (f form) fits(raw json.RawMessage) bool {
	var into any
	switch f {
	case text:
		return raw[0] == '"'
	case flag:
		return raw[0] == 't' || raw[0] == 'f'
	case single:
		return raw[0] == '{'
	case several:
		return raw[0] == '['
	case date:
		into = new(time.Time)
	case texts:
		into = new([]string)
	case textMap:
		into = new(map[string]string)
	}
	return json.Unmarshal(raw, into) == nil
}

// A need says what happens to a member of a wrong form.
type need int

const (
	optional need = iota // it is left out
	strict               // it is an error
	required             // so is its absence
)

// A member is one that is read. All others are left out.
type member struct {
	name string
	form form
	need need
}

// ErrNoObject is the error for an answer that is not a JSON object.
var ErrNoObject = errors.New("not a JSON object")

// read returns the members of body.
func read(body []byte, members []member) (object, error) {
	var all object
	if json.Unmarshal(body, &all) != nil || all == nil {
		return nil, ErrNoObject
	}
	return pick(all, members)
}

// pick returns the members of an object.
func pick(all object, members []member) (object, error) {
	o := object{}
	for _, m := range members {
		raw := bytes.TrimSpace(all[m.name])
		absent := len(raw) == 0 || string(raw) == "null"
		switch {
		case absent && m.need == required:
			return nil, fmt.Errorf("it has no %s", m.name)
		case absent:
		case m.form.fits(raw):
			o[m.name] = raw
		case m.need != optional:
			return nil, wrongForm(m.name, raw)
		}
	}
	return o, nil
}

// wrongForm is the error of a member of a wrong form.
func wrongForm(name string, raw json.RawMessage) error {
	return fmt.Errorf("its %s is %s", name, typeOf(raw))
}

// typeOf names the JSON type of a value for people.
func typeOf(raw json.RawMessage) string {
	switch raw[0] {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "a list"
	case 't', 'f':
		return "true or false"
	}
	return "a number"
}

// text returns a string; "" if there is none.
func (o object) text(name string) (s string) {
	raw := o[name]
	if n := len(raw); n > 1 && raw[0] == '"' && isPlain(raw[1:n-1]) {
		return string(raw[1 : n-1])
	}
	_ = json.Unmarshal(raw, &s)
	return s
}

// isPlain reports whether a text is spelled in JSON as it is.
func isPlain[T ~string | ~[]byte](s T) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// set encodes a member.
func (o object) set(name string, v any) {
	if s, ok := v.(string); ok && isPlain(s) {
		o[name] = json.RawMessage(`"` + s + `"`)
		return
	}
	o[name], _ = json.Marshal(v) // strings, lists and objects of them always marshal
}

// encode returns the object as JSON. The names of members need no escapes: they are ours.
func (o object) encode() []byte {
	names, size := make([]string, 0, len(o)), 2
	for name, value := range o {
		names, size = append(names, name), size+len(name)+len(value)+4
	}
	slices.Sort(names)
	out := append(make([]byte, 0, size), '{')
	for _, name := range names {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, '"'), name...), `":`...)
		out = append(out, o[name]...)
	}
	return append(out, '}')
}

// encodeAll returns objects as a list.
func encodeAll(list []object) json.RawMessage {
	out := []byte{'['}
	for i, o := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, o.encode()...)
	}
	return append(out, ']')
}
