package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A file is one of an archive, a package or an image. Its owner is root.
type file struct {
	path   string // with / first in packages and images; of a directory with / last
	data   []byte
	mode   int64
	config bool // of a package: kept on upgrade
}

// layout says where a distribution keeps what.
type layout struct {
	bin, libexec, man, bash, zsh, fish, doc string
	zip                                     string // ending of manual pages
	changes                                 string // name of CHANGELOG.md
}

// The archive can be unpacked below any prefix.
var archived = layout{
	bin: "bin", libexec: "libexec/keypaird", man: "share/man", doc: "share/doc/keypaird", changes: "CHANGELOG.md",
	bash: "share/bash-completion/completions", zsh: "share/zsh/site-functions", fish: "share/fish/vendor_completions.d",
}

var debian = layout{
	bin: "/usr/bin", libexec: "/usr/libexec/keypaird", man: "/usr/share/man", doc: "/usr/share/doc/keypaird", zip: ".gz", changes: "changelog.gz",
	bash: "/usr/share/bash-completion/completions", zsh: "/usr/share/zsh/vendor-completions", fish: "/usr/share/fish/vendor_completions.d",
}

var fedora = layout{
	bin: "/usr/bin", libexec: "/usr/libexec/keypaird", man: "/usr/share/man", doc: "/usr/share/doc/keypaird", zip: ".gz", changes: "CHANGELOG.md",
	bash: "/usr/share/bash-completion/completions", zsh: "/usr/share/zsh/site-functions", fish: "/usr/share/fish/vendor_completions.d",
}

// programFiles returns the programs: keypaird where it is found, the ones that it
// starts where it finds them.
func (b *build) programFiles(l layout) ([]file, error) {
	var files []file
	for _, p := range b.programs {
		data, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		dir := l.libexec
		if filepath.Base(p) == "keypaird" {
			dir = l.bin
		}
		files = append(files, file{path: dir + "/" + filepath.Base(p), data: data, mode: 0o755})
	}
	return files, nil
}

// manualFiles returns manual pages, completions and documents.
func (b *build) manualFiles(l layout) ([]file, error) {
	pages, err := filepath.Glob("cmd/keypaird*/*.[1-9]")
	if err != nil {
		return nil, err
	}
	places := map[string]string{"README.md": l.doc + "/README.md", "SECURITY.md": l.doc + "/SECURITY.md", "CHANGELOG.md": l.doc + "/" + l.changes}
	for _, p := range pages {
		places[p] = l.man + "/man" + p[len(p)-1:] + "/" + filepath.Base(p) + l.zip
	}
	for from, to := range map[string]string{"bash": l.bash + "/keypaird", "zsh": l.zsh + "/_keypaird", "fish": l.fish + "/keypaird.fish"} {
		from = "cmd/keypaird/completion/keypaird." + from
		if _, err := os.Stat(from); err == nil {
			places[from] = to
		}
	}
	return readAll(places)
}

// readAll reads files, and compresses those with a new name that ends in .gz.
func readAll(places map[string]string) ([]file, error) {
	var files []file
	for from, to := range places {
		data, err := os.ReadFile(from)
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(to, ".gz") {
			data = zipped(data)
		}
		files = append(files, file{path: to, data: data, mode: 0o644})
	}
	return files, nil
}

// exampleFiles returns the examples: all, or those that are not there to install
// keypaird itself. What needs the source to run is left out.
func exampleFiles(l layout, all bool) ([]file, error) {
	install := []string{"systemd", "rc.d", "ports", "container"}
	var files []file
	err := filepath.WalkDir("examples", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "quickstart" || d.Name() == "testdata" || !all && slices.Contains(install, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil || strings.HasSuffix(name, ".go") {
			return err
		}
		data, err := os.ReadFile(name)
		mode := int64(0o644)
		if info.Mode()&0o100 != 0 {
			mode = 0o755
		}
		files = append(files, file{path: l.doc + "/" + filepath.ToSlash(name), data: data, mode: mode})
		return err
	})
	return files, err
}

// archive writes the archive of a platform.
func (b *build) archive() (string, error) {
	files, err := b.programFiles(archived)
	if err != nil {
		return "", err
	}
	more, err := b.manualFiles(archived)
	if err != nil {
		return "", err
	}
	examples, err := exampleFiles(archived, true)
	if err != nil {
		return "", err
	}
	license, err := readAll(map[string]string{"LICENSE": archived.doc + "/LICENSE"})
	if err != nil {
		return "", err
	}
	files = slices.Concat(files, more, examples, license)
	for i := range files {
		files[i].path = b.name() + "/" + files[i].path
	}
	data, err := tarball(files, b.written)
	if err != nil {
		return "", err
	}
	name := b.name() + ".tar.gz"
	return name, os.WriteFile(filepath.Join(b.out, name), zipped(data), 0o644)
}

// tarball returns the files as a tar archive, sorted, each after its directories.
func tarball(files []file, written time.Time) ([]byte, error) {
	files = withParents(files)
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		h := &tar.Header{Name: strings.TrimPrefix(f.path, "/"), Mode: f.mode, Size: int64(len(f.data)), ModTime: written, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
		if strings.HasSuffix(f.path, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	err := w.Close() // writes its end
	return out.Bytes(), err
}

// withParents adds the directories that files do not name, and sorts.
func withParents(files []file) []file {
	files = slices.Clone(files)
	seen := map[string]bool{}
	for _, f := range files {
		seen[f.path] = true
	}
	for _, f := range slices.Clone(files) {
		for dir := path.Dir(strings.TrimSuffix(f.path, "/")); dir != "." && dir != "/"; dir = path.Dir(dir) {
			if !seen[dir+"/"] {
				seen[dir+"/"] = true
				files = append(files, file{path: dir + "/", mode: 0o755})
			}
		}
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return files
}

// zipped compresses as gzip -9n does.
func zipped(data []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
	_, _ = w.Write(data) // a buffer takes everything
	_ = w.Close()
	return out.Bytes()
}
