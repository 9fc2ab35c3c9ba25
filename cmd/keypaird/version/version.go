// Package version says which program is running: its version, the revision of its source,
// and what it was built with. The Go tool records them.
package version

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// An Info is the answer of "keypaird version -json".
type Info struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // of the source, if it is known
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

func (v Info) String() string {
	s := "keypaird " + v.Version
	if v.Revision != "" {
		s += " (" + v.Revision + ")"
	}
	return fmt.Sprintf("%s, %s, %s/%s", s, v.Go, v.OS, v.Arch)
}

// WriteText writes the version in one line.
func (v Info) WriteText(w io.Writer) error {
	_, err := fmt.Fprintln(w, v)
	return err
}

// Program returns the version of the running program.
func Program() Info {
	v := Info{Version: "devel", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if m := info.Main.Version; m != "" && m != "(devel)" {
		v.Version = m
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Revision = s.Value
		}
	}
	return v
}
