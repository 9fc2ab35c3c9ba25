package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

// A Version is the answer of "keypaird version -json".
type Version struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // of the source, if it is known
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

func (v Version) String() string {
	s := "keypaird " + v.Version
	if v.Revision != "" {
		s += " (" + v.Revision + ")"
	}
	return fmt.Sprintf("%s, %s, %s/%s", s, v.Go, v.OS, v.Arch)
}

// versionCommand prints the version of this program.
func versionCommand(_ context.Context, e *env, args []string) error {
	asJSON := e.flags.Bool("json", false, "print the version as JSON")
	if _, err := e.parse(args); err != nil {
		return err
	}
	v := programVersion()
	if *asJSON {
		return e.printJSON(v)
	}
	_, err := fmt.Fprintln(e.stdout, v)
	return err
}

func programVersion() Version {
	v := Version{Version: "devel", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
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
