// Dist builds what is handed out: archives of the programs for each platform, .deb and
// .rpm packages and container images, each with the list of the modules that are in it
// (an SBOM in CycloneDX's format), and SHA256SUMS.
//
//	go run ./.ci/dist [-o DIR] [-tags TAGS] [-kinds archive,deb,rpm,image] OS/ARCH...
//
// It builds the commit that is checked out: the Go tool writes its version into the
// programs, and everything is named after that. Times in what it writes are
// SOURCE_DATE_EPOCH, else that of the commit: two runs give the same bytes, with the
// same Go and, for images, the same roots.
package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	out := flag.String("o", "dist", "`directory` to write to")
	tags := flag.String("tags", "", "build `tags`: lean has a dozen DNS providers")
	kinds := flag.String("kinds", "archive,deb,rpm", "what to build")
	roots := flag.String("roots", "/etc/ssl/certs/ca-certificates.crt", "`file` of CA certificates for images")
	flag.Parse()
	if err := run(*out, *tags, *roots, strings.Split(*kinds, ","), flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

func run(out, tags, roots string, kinds, platforms []string) error {
	if len(platforms) == 0 {
		return errors.New("name a platform, such as linux/amd64")
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	written, err := commitTime()
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "keypaird-dist-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	var made []string
	for _, platform := range platforms {
		b, err := compile(platform, tags, work, written)
		if err != nil {
			return fmt.Errorf("%s: %w", platform, err)
		}
		b.out, b.roots = out, roots
		files, err := b.write(kinds)
		if err != nil {
			return fmt.Errorf("%s: %w", platform, err)
		}
		made = append(made, files...)
	}
	return writeSums(out, made)
}

// commitTime returns SOURCE_DATE_EPOCH, else the time of the commit.
func commitTime() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		b, err := exec.Command("git", "log", "-1", "--format=%ct").Output()
		if err != nil {
			return time.Time{}, fmt.Errorf("git log: %w: build in a clone of the repository, or set SOURCE_DATE_EPOCH", err)
		}
		text = strings.TrimSpace(string(b))
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(n, 0).UTC(), nil
}

// A build is the programs of one platform, and where they go.
type build struct {
	os, arch string
	version  string // as the programs say, without v
	written  time.Time
	programs []string // paths, sorted
	infos    []*buildinfo.BuildInfo
	work     string // holds the programs
	out      string
	roots    string
}

// The variants of architectures, of the oldest machines that Go supports by default:
// what the builder's environment says must not matter.
var variants = []string{"GOAMD64=v1", "GOARM=7", "GOARM64=v8.0", "GORISCV64=rva20u64", "GOFLAGS=", "GOEXPERIMENT=", "CGO_ENABLED=0"}

// compile builds every program below cmd for a platform.
func compile(platform, tags, work string, written time.Time) (*build, error) {
	goos, arch, ok := strings.Cut(platform, "/")
	if !ok {
		return nil, errors.New("a platform is OS/ARCH")
	}
	mains, err := filepath.Glob("cmd/*/main.go")
	if err != nil || mains == nil {
		return nil, errors.New("there is no cmd here: run this at the top of the repository")
	}
	fmt.Println("building for", platform)
	b := &build{os: goos, arch: arch, written: written, work: filepath.Join(work, goos+"-"+arch)}
	if err := os.Mkdir(b.work, 0o755); err != nil {
		return nil, err
	}
	args := []string{"build", "-trimpath", "-buildvcs=true", "-ldflags=-s", "-tags=" + tags, "-o", b.work + "/"}
	for _, m := range mains {
		args = append(args, "./"+filepath.Dir(m))
		b.programs = append(b.programs, filepath.Join(b.work, filepath.Base(filepath.Dir(m))))
	}
	cmd := exec.Command("go", args...)
	cmd.Env = append(append(os.Environ(), variants...), "GOOS="+goos, "GOARCH="+arch)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("go build: %w", err)
	}
	for _, p := range b.programs {
		info, err := buildinfo.ReadFile(p)
		if err != nil {
			return nil, err
		}
		b.infos = append(b.infos, info)
	}
	b.version = strings.TrimPrefix(b.infos[0].Main.Version, "v")
	return b, nil
}

// name is that of a file to be handed out, without its ending.
func (b *build) name() string { return "keypaird-" + b.version + "-" + b.os + "-" + b.arch }

// write writes the kinds that the platform has, and returns the names of their files.
func (b *build) write(kinds []string) ([]string, error) {
	sbom := b.name() + ".cdx.json"
	bom, err := b.sbom()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(b.out, sbom), bom, 0o644); err != nil {
		return nil, err
	}
	made := []string{sbom}
	for _, kind := range kinds {
		var file string
		switch {
		case kind == "archive":
			file, err = b.archive()
		case kind != "deb" && kind != "rpm" && kind != "image":
			err = fmt.Errorf("unknown kind %q", kind)
		case b.os != "linux":
			continue
		case kind == "image":
			file, err = b.image()
		default:
			file, err = b.pack(kind)
		}
		if err != nil {
			return nil, err
		}
		made = append(made, file)
	}
	return made, nil
}

// writeSums writes SHA256SUMS for sha256sum -c. Lines of other files that are still
// there stay.
func writeSums(out string, made []string) error {
	path := filepath.Join(out, "SHA256SUMS")
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	sums := map[string]string{}
	for line := range strings.Lines(string(old)) {
		if sum, name, ok := strings.Cut(strings.TrimSpace(line), "  "); ok {
			if _, err := os.Stat(filepath.Join(out, name)); err == nil {
				sums[name] = sum
			}
		}
	}
	for _, name := range made {
		b, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			return err
		}
		sums[name] = fmt.Sprintf("%x", sha256.Sum256(b))
	}
	var names []string
	for name := range sums {
		names = append(names, name)
	}
	slices.Sort(names)
	var text bytes.Buffer
	for _, name := range names {
		fmt.Fprintf(&text, "%s  %s\n", sums[name], name)
	}
	return os.WriteFile(path, text.Bytes(), 0o644)
}
