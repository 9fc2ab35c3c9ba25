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

// version says which program this is.
func (a *app) version(_ context.Context, args []string) error {
	flags := a.flags("version")
	asJSON := flags.Bool("json", false, "print the version as JSON")
	if err := parse(flags, args); err != nil {
		return err
	}
	v := programVersion()
	if *asJSON {
		return a.printJSON(v)
	}
	_, err := fmt.Fprintln(a.stdout, v)
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
