package message

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf16"

	"keypaird/renew/textfmt"
)

// maxLine bounds each text of an answer but its output.
const maxLine = 4000

// ErrNone is the error of [ReadAnswer] if there is no answer at all.
var ErrNone = errors.New("no answer")

var errLong = fmt.Errorf("an answer of more than %d MiB", MaxAnswer>>20)

// ReadAnswer reads the answer to a request in a format. An error says how it breaks the
// protocol.
func ReadAnswer(r io.Reader, f Format) (a Answer, err error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxAnswer+1))
	switch {
	case len(data) > MaxAnswer:
		return Answer{}, errLong
	case err != nil:
		return Answer{}, err
	case len(data) == 0:
		return Answer{}, ErrNone
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return Answer{}, fmt.Errorf("not an answer: %q", textfmt.OneLine(string(data[:min(len(data), 200)]), 60))
	}
	output := a.Output
	a.Output = ""
	clean(reflect.ValueOf(&a).Elem())
	switch f {
	case Facts:
	case JSON:
		if output != "" && !json.Valid([]byte(output)) {
			return Answer{}, errors.New("output that is not JSON")
		}
		a.Output = printable(output, escape)
	default:
		a.Output = printable(output, func(rune) string { return string(unicode.ReplacementChar) })
	}
	return a, nil
}

// clean makes every text in v one printable line.
func clean(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(textfmt.OneLine(v.String(), maxLine))
	case reflect.Pointer:
		if !v.IsNil() {
			clean(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			clean(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				clean(v.Field(i))
			}
		}
	}
}

// printable returns text with the characters replaced that are not printable, but for
// line breaks.
func printable(text string, replace func(rune) string) string {
	var b strings.Builder
	for _, r := range text {
		if r == '\n' || unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(replace(r))
		}
	}
	return b.String()
}

// escape returns a character as JSON writes it in strings, where alone valid JSON has
// characters that are not printable; white space between them is a space.
func escape(r rune) string {
	if r == '\t' || r == '\r' {
		return " "
	}
	if r > 0xffff {
		high, low := utf16.EncodeRune(r)
		return fmt.Sprintf(`\u%04x\u%04x`, high, low)
	}
	return fmt.Sprintf(`\u%04x`, r)
}
