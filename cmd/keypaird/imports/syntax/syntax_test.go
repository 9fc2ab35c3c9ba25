package syntax

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Shell files are parsed and never run.
func TestShell(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "ran")
	for _, tt := range []struct{ line, want string }{
		{`A='plain'`, "plain"},
		{`A='a'"b"c`, "abc"},
		{`A="x $B ${B}" # remark`, "x b b"},
		{`export A=1`, "1"},
		{`A=`, ""},
		{`A='$(touch ` + marker + `)'`, "$(touch " + marker + ")"},
		{`A="$(touch ` + marker + `)"`, "refused: needs a shell"},
		{"A=`touch " + marker + "`", "refused: needs a shell"},
		{`A=x; touch ` + marker, "refused: needs a shell"},
		{`A=x touch ` + marker, "refused: needs a shell"},
		{`A="${B:-$(touch x)}"`, "refused: needs a shell"},
		{`A=$UNKNOWN`, "refused: needs a shell"},
		{`A='x`, "refused: has a quote without an end"},
		{`A="x`, "refused: has a quote without an end"},
		{`. /etc/other`, "refused: is no assignment"},
		{`touch ` + marker, "refused: is no assignment"},
		{`A[0]=x`, "refused: is no assignment"},
	} {
		got := ""
		for _, v := range Shell(tt.line+"\n", map[string]string{"B": "b"}, func(line int, _ string, err error) { got = "refused: " + err.Error() }) {
			got = v.Value
		}
		if tt.want == "" && got != "" || !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.line, got, tt.want)
		}
	}
	if _, err := os.Lstat(marker); err == nil {
		t.Error("something was run")
	}
}

// What needs a shell is no list of words.
func TestWords(t *testing.T) {
	for _, s := range []string{"a; b", "a && b", "$(a)", "a > b", "`a`", "a 'b c'", "a | b", "A=1 b", "a *", "a\nb"} {
		if list := Words(s); list != nil {
			t.Errorf("Words(%q) = %q", s, list)
		}
	}
	if list := Words("systemctl reload nginx"); len(list) != 3 {
		t.Errorf("words = %q", list)
	}
}

// A command line is split as a shell does, but for what a shell would put into it.
func TestFields(t *testing.T) {
	for _, tt := range []struct {
		line string
		want []string
	}{
		{`lego --hook="a b" 'c d'e  f`, []string{"lego", "--hook=a b", "c de", "f"}},
		{`a "" b`, []string{"a", "", "b"}},
		{`a "b`, nil},
		{"", nil},
	} {
		if got := Fields(tt.line); tt.want != nil && !slices.Equal(got, tt.want) {
			t.Errorf("Fields(%q) = %q, want %q", tt.line, got, tt.want)
		}
	}
	if got := After("acme-client x && rcctl reload relayd"); len(got) != 3 || After("x") != nil || After("x && a > b") != nil {
		t.Errorf("After = %q", got)
	}
}
