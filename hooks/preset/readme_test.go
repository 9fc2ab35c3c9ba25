package preset

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the list of presets into the README")

// The README lists all presets.
func TestReadme(t *testing.T) {
	const path, begin, end = "../../README.md", "-update -->\n", "\n<!-- end of presets -->"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(data), begin)
	got, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no list of presets", path)
	}
	names := Names()
	want := wrap(strings.Join(names[:len(names)-1], ", ")+" and "+names[len(names)-1]+".", 84)
	if got == want {
		return
	}
	if !*update {
		t.Errorf("%s lists\n%s\nwant\n%s\nto correct it: go test ./hooks/preset -update", path, got, want)
	} else if err := os.WriteFile(path, []byte(head+begin+want+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

// wrap breaks text into lines of at most width bytes.
func wrap(text string, width int) string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimLeft(line+" "+word, " ")
	}
	return strings.Join(append(lines, line), "\n")
}
