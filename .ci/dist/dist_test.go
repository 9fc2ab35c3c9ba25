package main

import (
	"archive/tar"
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

// testBuild returns a build of one small program, in a tree that has what the real
// one has.
func testBuild(t *testing.T) *build {
	t.Helper()
	t.Chdir("../..")
	work := t.TempDir()
	programs := []string{filepath.Join(work, "keypaird"), filepath.Join(work, "keypaird-dns")}
	for _, p := range programs {
		if err := os.WriteFile(p, []byte(p), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	info := &buildinfo.BuildInfo{GoVersion: "go1.26.0", Deps: []*debug.Module{
		{Path: "example.org/old", Version: "v1.0.0", Replace: &debug.Module{Path: "example.org/new", Version: "v2.0.0+incompatible", Sum: "h1:x"}},
	}}
	roots := filepath.Join(work, "roots")
	if err := os.WriteFile(roots, []byte("roots"), 0o644); err != nil {
		t.Fatal(err)
	}
	return &build{
		os: "linux", arch: "amd64", version: "0.1.0-rc.1", written: time.Unix(1_800_000_000, 0).UTC(), work: work, out: work, roots: roots,
		programs: programs, infos: []*buildinfo.BuildInfo{info, info},
	}
}

// entries returns the names, modes and sizes in a tar archive.
func entries(t *testing.T, data []byte) map[string]*tar.Header {
	t.Helper()
	found := map[string]*tar.Header{}
	r := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Uname != "" {
			t.Errorf("%s belongs to %d, %q", h.Name, h.Uid, h.Uname)
		}
		found[h.Name] = h
	}
}

// A package has each program where keypaird looks for it, the units with the paths
// of a package, and nothing that configures or enables anything.
func TestPackageFiles(t *testing.T) {
	b := testBuild(t)
	for kind, l := range map[string]layout{"deb": debian, "rpm": fedora} {
		files, err := b.packageFiles(kind, l)
		if err != nil {
			t.Fatal(err)
		}
		byPath := map[string]file{}
		for _, f := range files {
			byPath[f.path] = f
			if strings.HasPrefix(f.path, "/etc/") && (!f.config || !strings.HasSuffix(f.path, ".example")) {
				t.Errorf("%s: %s is in force, or is lost on upgrade", kind, f.path)
			}
			if strings.HasSuffix(f.path, ".go") || strings.Contains(f.path, "testdata") {
				t.Errorf("%s: %s needs the source", kind, f.path)
			}
		}
		for _, path := range []string{"/usr/bin/keypaird", "/usr/libexec/keypaird/keypaird-dns"} {
			if byPath[path].mode != 0o755 {
				t.Errorf("%s: %s has mode %o", kind, path, byPath[path].mode)
			}
		}
		unit := string(byPath["/usr/lib/systemd/system/keypaird.service"].data)
		if !strings.Contains(unit, "\nExecStart=/usr/bin/keypaird run\n") || strings.Contains(unit, "/usr/local/") {
			t.Errorf("%s: the service starts another program: %s", kind, unit)
		}
	}
}

// The users of packages and of images are the ones that keypaird looks for.
func TestUsers(t *testing.T) {
	t.Chdir("../..")
	source, err := os.ReadFile("renew/launch/users.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"examples/systemd/sysusers.conf", "examples/container/passwd", "examples/container/group"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, user := range []string{"_keypaird-dns", "_keypaird-net"} {
			if !strings.Contains(string(text), user) || !strings.Contains(string(source), `"`+user+`"`) {
				t.Errorf("%s, or keypaird, does not know %s", path, user)
			}
		}
	}
}

func TestPackageVersion(t *testing.T) {
	for version, want := range map[string]string{
		"0.1.0":                               "0.1.0",
		"0.1.0-rc.1":                          "0.1.0~rc.1",
		"0.1.1-0.20261129164249-32a43f6f6598": "0.1.1~0.20261129164249.32a43f6f6598",
		"0.0.0-20261129164249-32a43f6f6598+dirty": "0.0.0~20261129164249.32a43f6f6598+dirty",
	} {
		if got := packageVersion(version); got != want {
			t.Errorf("%s: %s, want %s", version, got, want)
		}
	}
}

// An archive is the same each time, in one order, with each directory before what is in it.
func TestTarball(t *testing.T) {
	files := []file{{path: "b/c", data: []byte("1"), mode: 0o644}, {path: "a", data: []byte("22"), mode: 0o755}}
	first, err := tarball(files, time.Unix(1_800_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(files)
	second, err := tarball(files, time.Unix(1_800_000_000, 0))
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("two archives of the same files differ (%v)", err)
	}
	if !bytes.HasSuffix(first, make([]byte, 1024)) {
		t.Error("the archive has no end")
	}
	found := entries(t, first)
	if len(found) != 3 || found["b/"].Typeflag != tar.TypeDir || found["a"].Mode != 0o755 {
		t.Errorf("found %v", found)
	}
}

// The list names what is linked: what a module was replaced by, each once, and Go.
func TestSBOM(t *testing.T) {
	text, err := testBuild(t).sbom()
	if err != nil {
		t.Fatal(err)
	}
	var found bom
	if err := json.Unmarshal(text, &found); err != nil {
		t.Fatal(err)
	}
	var refs []string
	for _, c := range found.Components {
		refs = append(refs, c.Ref)
	}
	want := []string{"program:keypaird", "program:keypaird-dns", "pkg:golang/example.org/new@v2.0.0%2Bincompatible", "pkg:golang/std@1.26.0"}
	if !slices.Equal(refs, want) {
		t.Errorf("components %q, want %q", refs, want)
	}
	for _, d := range found.Dependencies {
		for _, ref := range append(d.DependsOn, d.Ref) {
			if ref != "keypaird" && !slices.Contains(refs, ref) {
				t.Errorf("%s is no component", ref)
			}
		}
	}
}

// Every part of an image is there, under the hash that names it.
func TestImage(t *testing.T) {
	b := testBuild(t)
	name, err := b.image()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(b.out, name))
	if err != nil {
		t.Fatal(err)
	}
	found := entries(t, data)
	for _, path := range []string{"oci-layout", "index.json", "manifest.json"} {
		if found[path] == nil {
			t.Errorf("no %s", path)
		}
	}
	files, err := b.imageFiles()
	if err != nil {
		t.Fatal(err)
	}
	layer, err := tarball(files, b.written)
	if err != nil {
		t.Fatal(err)
	}
	in := entries(t, layer)
	if in["tmp/"].Mode != 0o1777 || in["etc/keypaird/"].Mode != 0o700 || in["etc/passwd"].Mode != 0o644 || in["usr/bin/keypaird"].Mode != 0o755 {
		t.Error("a file of the image has another mode")
	}
}

// Ports list every program.
func TestPorts(t *testing.T) {
	t.Chdir("../..")
	mains, err := filepath.Glob("cmd/*/main.go")
	if err != nil || mains == nil {
		t.Fatal("no programs", err)
	}
	for _, path := range []string{"examples/ports/freebsd/pkg-plist", "examples/ports/openbsd/pkg/PLIST"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range mains {
			if name := filepath.Base(filepath.Dir(m)); !strings.Contains(string(text), "/"+name+"\n") {
				t.Errorf("%s lacks %s", path, name)
			}
		}
	}
}
