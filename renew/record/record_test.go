package record

import (
	"encoding/json"
	"reflect"
	"testing"
)

// fill sets a value, whatever is in it, to something that is not zero.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i))
			}
		}
	}
}

// All of a record is in its file, and read again; its half about ordering, too, as the
// same text.
func TestHalves(t *testing.T) {
	var r Record
	fill(reflect.ValueOf(&r).Elem())
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if got := Parse(data); !reflect.DeepEqual(got, r) {
		t.Errorf("read again: %+v\nwant %+v", got, r)
	}
	half, err := json.Marshal(r.Ordering)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := json.Marshal(Record{Ordering: r.Ordering})
	if err != nil || string(whole) != string(half) {
		t.Errorf("a half alone: %s, %v\nwant %s", whole, err, half)
	}
	if data, err := json.Marshal(Record{}); err != nil || string(data) != "{}" {
		t.Errorf("an empty record: %s, %v", data, err)
	}
}
