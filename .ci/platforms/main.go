// Platforms checks that all packages and their tests compile on each platform, in
// seconds for each: it checks the types of our packages as the compiler does, and of
// those that they import what is declared, and generates no code.
//
//	go run .ci/platforms/main.go [-tags TAG,...] GOOS/GOARCH...
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	tags := flag.String("tags", "", "build tags")
	flag.Parse()
	c := &checker{tags: *tags, files: token.NewFileSet(), parsed: map[string]*ast.File{}}
	ok := flag.NArg() > 0
	for _, platform := range flag.Args() {
		goos, goarch, _ := strings.Cut(platform, "/")
		fmt.Printf("checking for %s\n", platform)
		if err := c.check(goos, goarch); err != nil {
			fmt.Fprintln(os.Stderr, err)
			ok = false
		}
	}
	if !ok {
		os.Exit(1)
	}
}

// A pkg is a package as "go list -json" describes it.
type pkg struct {
	ImportPath, Name, Dir string
	GoFiles               []string
	ImportMap             map[string]string
	Module                *struct {
		Main      bool
		GoVersion string
	}
	Error *struct{ Pos, Err string }
}

// ours reports whether the package is of this module.
func (p *pkg) ours() bool { return p.Module != nil && p.Module.Main }

// A checker parses a file once for all platforms.
type checker struct {
	tags   string
	files  *token.FileSet
	parsed map[string]*ast.File // by path
}

// check checks all packages for one platform.
func (c *checker) check(goos, goarch string) error {
	pkgs, err := c.list(goos, goarch)
	if err != nil {
		return fmt.Errorf("%s/%s: %w", goos, goarch, err)
	}
	done := map[string]*types.Package{"unsafe": types.Unsafe}
	var errs []error
	ours := 0
	for _, p := range pkgs {
		if p.ImportPath == "unsafe" || strings.HasSuffix(p.ImportPath, ".test") { // the latter is written by go test
			continue
		}
		if p.Error != nil {
			errs = append(errs, fmt.Errorf("%s: %s", p.Error.Pos, p.Error.Err))
		}
		conf := types.Config{
			Importer: imports(func(path string) (*types.Package, error) {
				if as, ok := p.ImportMap[path]; ok {
					path = as
				}
				if q := done[path]; q != nil {
					return q, nil
				}
				return nil, fmt.Errorf("package %s is not listed", path)
			}),
			Sizes:            types.SizesFor("gc", goarch),
			IgnoreFuncBodies: !p.ours(),
			Error:            func(err error) { errs = append(errs, err) },
		}
		if p.Module != nil && p.Module.GoVersion != "" {
			conf.GoVersion = "go" + p.Module.GoVersion
		}
		files, err := c.parse(p)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		path, _, _ := strings.Cut(p.ImportPath, " ") // "P [P.test]" is P with its tests
		done[p.ImportPath], _ = conf.Check(path, c.files, files, nil)
		if p.ours() {
			ours++
		}
	}
	if ours == 0 {
		errs = append(errs, fmt.Errorf("%s/%s: no packages", goos, goarch))
	}
	return errors.Join(errs...)
}

type imports func(path string) (*types.Package, error)

func (f imports) Import(path string) (*types.Package, error) { return f(path) }

// list returns all packages, each after those that it imports.
func (c *checker) list(goos, goarch string) (pkgs []*pkg, err error) {
	cmd := exec.Command("go", "list", "-e", "-deps", "-test", "-tags", c.tags, "-json=ImportPath,Name,Dir,GoFiles,ImportMap,Module,Error", "./...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	for lines := json.NewDecoder(out); ; {
		p := new(pkg)
		if err = lines.Decode(p); err != nil {
			break
		}
		pkgs = append(pkgs, p)
	}
	if err == io.EOF {
		err = nil
	}
	return pkgs, errors.Join(err, cmd.Wait())
}

// parse parses the files of a package.
func (c *checker) parse(p *pkg) ([]*ast.File, error) {
	var files []*ast.File
	for _, name := range p.GoFiles {
		path := filepath.Join(p.Dir, name)
		if f := c.parsed[path]; f != nil {
			files = append(files, f)
			continue
		}
		f, err := parser.ParseFile(c.files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		if !p.ours() {
			for _, d := range f.Decls { // they are not checked
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
					fn.Body.List = nil
				}
			}
		}
		c.parsed[path] = f
		files = append(files, f)
	}
	return files, nil
}
