package wire

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"keypaird/renew/fleet/engine"
)

func TestLines(t *testing.T) {
	want := Answer{ID: 7, More: true, Entries: []engine.Entry{{Key: "a", Value: []byte{}, Revision: 1}, {Key: "b", Revision: 2}, {Key: "c", Value: []byte("x\n")}}}
	line, err := Line(want)
	if err != nil || strings.Count(string(line), "\n") != 1 {
		t.Fatalf("%q, %v", line, err)
	}
	r := NewReader(strings.NewReader(string(line) + string(line)))
	for range 2 {
		var got Answer
		if n, err := r.Next(&got); err != nil || n != len(line)-1 || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v of %d bytes, %v", got, n, err)
		}
	}
	if _, err := r.Next(&want); err != io.EOF {
		t.Errorf("the end: %v", err)
	}
}

func TestLongLines(t *testing.T) {
	if _, err := Line(Request{Commit: &Commit{Do: []engine.Op{{Value: make([]byte, MaxLine)}}}}); !errors.Is(err, ErrLong) {
		t.Errorf("a message: %v", err)
	}
	var a Answer
	if _, err := NewReader(strings.NewReader(strings.Repeat("x", 2*MaxLine))).Next(&a); !errors.Is(err, ErrLong) {
		t.Errorf("a line: %v", err)
	}
	if _, err := NewReader(strings.NewReader("{\n")).Next(&a); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("no message: %v", err)
	}
}
