package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// nfpm makes the packages. It is a tool, not a module that keypaird needs. Later versions
// need a module that is not always to be fetched.
const nfpm = "github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2"

// maintainer is who answers for packages: MAINTAINER in the environment, "NAME <ADDRESS>".
var maintainer = cmp.Or(os.Getenv("MAINTAINER"), "the keypaird authors <maintainers@keypaird.invalid>")

// pack writes a .deb or .rpm.
func (b *build) pack(kind string) (string, error) {
	l := debian
	if kind == "rpm" {
		l = fedora
	}
	files, err := b.packageFiles(kind, l)
	if err != nil {
		return "", err
	}
	version := packageVersion(b.version)
	arch := b.arch
	if arch == "arm" {
		arch = "arm7"
	}
	root := filepath.Join(b.work, kind)
	config, err := stage(root, files)
	if err != nil {
		return "", err
	}
	name := b.name() + "." + kind
	target, err := filepath.Abs(filepath.Join(b.out, name))
	if err != nil {
		return "", err
	}
	tool := exec.Command("go", "run", nfpm, "package", "--config", config, "--packager", kind, "--target", target)
	tool.Env = append(os.Environ(), "GOFLAGS=", "VERSION="+version, "ARCH="+arch, "MAINTAINER="+maintainer,
		"SOURCE_DATE_EPOCH="+strconv.FormatInt(b.written.Unix(), 10))
	if out, err := tool.CombinedOutput(); err != nil {
		return "", fmt.Errorf("nfpm: %w: %s", err, out)
	}
	return name, nil
}

// packageVersion writes a version so that packages of it are ordered as Go orders it:
// 0.1.0-rc.1 is before 0.1.0, and so is 0.1.0~rc.1.
func packageVersion(version string) string {
	return strings.ReplaceAll(strings.Replace(version, "-", "~", 1), "-", ".")
}

// packageFiles returns everything in a package.
func (b *build) packageFiles(kind string, l layout) ([]file, error) {
	programs, err := b.programFiles(l)
	if err != nil {
		return nil, err
	}
	manuals, err := b.manualFiles(l)
	if err != nil {
		return nil, err
	}
	examples, err := exampleFiles(l, false)
	if err != nil {
		return nil, err
	}
	system, err := readAll(map[string]string{
		"examples/systemd/sysusers.conf":        "/usr/lib/sysusers.d/keypaird.conf",
		"examples/systemd/keypaird.service":     "/usr/lib/systemd/system/keypaird.service",
		"examples/systemd/keypaird-http.socket": "/usr/lib/systemd/system/keypaird-http.socket",
		"examples/systemd/root.conf":            "/usr/share/keypaird/root.conf",
		"examples/systemd/50-keypaird.rules":    "/usr/share/keypaird/50-keypaird.rules",
		"examples/nginx/keypaird.toml":          "/etc/keypaird/keypaird.toml.example",
	})
	if err != nil {
		return nil, err
	}
	for i := range system {
		system[i].data = bytes.ReplaceAll(system[i].data, []byte("/usr/local/bin/"), []byte(l.bin+"/"))
		system[i].config = strings.HasPrefix(system[i].path, "/etc/")
	}
	own, err := b.ownFiles(kind, l)
	return slices.Concat(programs, manuals, examples, system, own), err
}

// ownFiles returns what one kind of package wants to have.
func (b *build) ownFiles(kind string, l layout) ([]file, error) {
	license, err := os.ReadFile("LICENSE")
	if err != nil {
		return nil, err
	}
	if kind == "rpm" {
		return []file{{path: "/usr/share/licenses/keypaird/LICENSE", data: license, mode: 0o644}}, nil
	}
	overrides, err := os.ReadFile(".ci/dist/package/lintian-overrides")
	if err != nil {
		return nil, err
	}
	changes := fmt.Sprintf("keypaird (%s-1) stable; urgency=medium\n\n  * What changed is in CHANGELOG.md, beside this file.\n\n -- %s  %s\n",
		packageVersion(b.version), maintainer, b.written.Format("Mon, 02 Jan 2006 15:04:05 +0000"))
	return []file{
		{path: l.doc + "/copyright", data: debianCopyright(license), mode: 0o644},
		{path: l.doc + "/changelog.Debian.gz", data: zipped([]byte(changes)), mode: 0o644},
		{path: "/usr/share/lintian/overrides/keypaird", data: overrides, mode: 0o644},
	}, nil
}

// debianCopyright writes the license as Debian's copyright-format has it.
func debianCopyright(license []byte) []byte {
	var out strings.Builder
	out.WriteString("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: keypaird\n\nFiles: *\n")
	head, text, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(string(license), "ISC License\n")), "\n\n")
	out.WriteString("Copyright: " + strings.TrimPrefix(head, "Copyright (c) ") + "\nLicense: ISC\n")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			line = "."
		}
		out.WriteString(" " + line + "\n")
	}
	return []byte(out.String())
}

// stage writes the files below root, and returns nfpm's configuration that lists them.
func stage(root string, files []file) (config string, err error) {
	text, err := os.ReadFile(".ci/dist/package/nfpm.yaml")
	if err != nil {
		return "", err
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	list := bytes.NewBuffer(text)
	list.WriteString("contents:\n")
	for _, f := range files {
		path := filepath.Join(root, f.path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, f.data, os.FileMode(f.mode)); err != nil {
			return "", err
		}
		kind := ""
		if f.config {
			kind = "config|noreplace"
		}
		fmt.Fprintf(list, "  - {src: %q, dst: %q, type: %q, file_info: {mode: 0%o}}\n", path, f.path, kind, f.mode)
	}
	config = root + ".yaml"
	return config, os.WriteFile(config, list.Bytes(), 0o644)
}
