package main

import (
	"debug/buildinfo"
	"encoding/json"
	"maps"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

// A bom is what we say of CycloneDX 1.6. Go's checksums (h1:) hash a list of the files
// of a module, not one file, and so are properties.
type bom struct {
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Timestamp string    `json:"timestamp"`
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version"`
	PURL       string     `json:"purl,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

// sbom returns the list of the modules that each program is linked with.
func (b *build) sbom() ([]byte, error) {
	all := bom{Format: "CycloneDX", Spec: "1.6", Version: 1}
	all.Metadata.Timestamp = b.written.Format("2006-01-02T15:04:05Z")
	whole := component{Type: "application", Ref: "keypaird", Name: "keypaird", Version: b.version, Properties: []property{
		{"platform", b.os + "/" + b.arch},
	}}
	all.Metadata.Component = whole
	modules := map[string]component{}
	top := dependency{Ref: whole.Ref}
	for i, info := range b.infos {
		program := component{Type: "application", Ref: "program:" + filepath.Base(b.programs[i]), Name: filepath.Base(b.programs[i]), Version: b.version}
		for _, s := range info.Settings {
			program.Properties = append(program.Properties, property{"go:" + s.Key, s.Value})
		}
		all.Components = append(all.Components, program)
		top.DependsOn = append(top.DependsOn, program.Ref)
		linked := dependency{Ref: program.Ref}
		for _, m := range linkedModules(info) {
			modules[m.Ref] = m
			linked.DependsOn = append(linked.DependsOn, m.Ref)
		}
		all.Dependencies = append(all.Dependencies, linked)
	}
	all.Dependencies = append(all.Dependencies, top)
	for _, ref := range slices.Sorted(maps.Keys(modules)) {
		all.Components = append(all.Components, modules[ref])
	}
	text, err := json.MarshalIndent(all, "", "  ")
	return append(text, '\n'), err
}

// linkedModules returns the modules of a program, and Go's library.
func linkedModules(info *buildinfo.BuildInfo) []component {
	version := strings.TrimPrefix(info.GoVersion, "go")
	modules := []component{{Type: "library", Name: "std", Version: version, PURL: "pkg:golang/std@" + version}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		modules = append(modules, moduleComponent(m))
	}
	for i := range modules {
		modules[i].Ref = modules[i].PURL
	}
	return modules
}

func moduleComponent(m *debug.Module) component {
	c := component{Type: "library", Name: m.Path, Version: m.Version, PURL: "pkg:golang/" + m.Path + "@" + strings.ReplaceAll(m.Version, "+", "%2B")}
	if m.Sum != "" {
		c.Properties = []property{{"go:sum", m.Sum}}
	}
	return c
}
