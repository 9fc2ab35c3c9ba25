package answer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// An object is a JSON object, its members not decoded yet.
type object map[string]json.RawMessage

// A form is the type that a member must have.
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

// fits reports whether raw has the form.
func (f form) fits(raw json.RawMessage) bool {
	var into any
	switch f {
	case text:
		into = new(string)
	case flag:
		into = new(bool)
	case date:
		into = new(time.Time)
	case texts:
		into = new([]string)
	case textMap:
		into = new(map[string]string)
	case single:
		into = new(object)
	case several:
		into = new([]object)
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
			return nil, fmt.Errorf("its %s is %s", m.name, typeOf(raw))
		}
	}
	return o, nil
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
	_ = json.Unmarshal(o[name], &s)
	return s
}

// set encodes a member.
func (o object) set(name string, v any) {
	o[name], _ = json.Marshal(v) // strings, lists and objects of them always marshal
}

// encode returns the object as JSON.
func (o object) encode() []byte {
	out, _ := json.Marshal(o)
	return out
}
