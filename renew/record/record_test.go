package record

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"testing"
	"time"
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
	if got, whole := Parse(data); !whole || !reflect.DeepEqual(got, r) {
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

// sample returns the record of a file that an earlier version wrote, and its text.
func sample(t *testing.T, file string) (Record, []byte) {
	t.Helper()
	data, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := Parse(data)
	return r, data
}

// Nothing of an earlier version's record is lost: a version that renames a key forgets
// backoff, notices and what was deployed.
func TestSamples(t *testing.T) {
	for _, file := range []string{"external.json", "failing.json", "order.json", "served.json", "tlsa.json"} {
		r, want := sample(t, file)
		data, err := json.MarshalIndent(r, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(append(data, '\n'), want) {
			t.Errorf("%s is read, and written again, as\n%s", file, data)
		}
	}
}

// Keys that were renamed are read: a notice that was sent is not sent again, and what was
// seen of TLSA records counts.
func TestEarlierKeys(t *testing.T) {
	told, _ := sample(t, "told.json")
	if want := time.Date(2026, 11, 30, 9, 59, 11, 0, time.UTC); !told.Notified.Failing.Equal(want) {
		t.Errorf("notified: %v, want %v", told.Notified.Failing, want)
	}
	if a := told.Deployments["broken"].Attempt; a.Failures != 3 || a.Next.IsZero() {
		t.Errorf("backoff: %+v", a)
	}
	dane, _ := sample(t, "dane.json")
	keys, at := dane.TLSA, time.Date(2026, 11, 30, 10, 6, 29, 0, time.UTC)
	if keys.Used != "3 1 1 1a1dbd1f11ebbef117c11c9b2057702c925b13254ae36066c4b9ce012ccd11a2" || keys.Next != "3 1 1 c158cb52003ef102dd3115c97940df26dbd57df494d291e30a5cf689a4cd3a5b" {
		t.Errorf("keys: %s and %s", keys.Used, keys.Next)
	}
	if o := keys.Names["_25._tcp.mail.example.org"]; !keys.Made.Equal(at) || !o.Since.Equal(at) || o.TTL != time.Minute || keys.QueryAt.IsZero() {
		t.Errorf("made %v, query at %v, observed %+v", keys.Made, keys.QueryAt, o)
	}
	if r, _ := Parse([]byte(`{"notified": {"failing": "2026-01-02T00:00:00Z"}, "told": {"failing": "2026-01-01T00:00:00Z"}}`)); r.Notified.Failing.Day() != 2 {
		t.Errorf("both keys: %+v", r.Notified)
	}
}
