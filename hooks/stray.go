package hooks

import (
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"keypaird/renew/problem"
)

// maxStrays bounds how many files are read to find certificates.
const maxStrays = 5000

// explain adds to failures of verification the files that may be the reason.
func (r *run) explain(failures []*Failure) {
	index := remembering(r.certificates)
	for _, f := range failures {
		for _, t := range f.targets {
			if files := r.strays(t.Name, t.New.Names(), index); len(files) > 0 {
				remedy := "the server loads all certificates of that directory: remove " + strings.Join(files, ", ") + ", then: keypaird issue"
				f.Err = problem.Newf(remedy, "%w; %s is for the same name", f.Err, files[0])
				break
			}
		}
	}
}

// strays returns the files with a certificate for one of names that the server may
// load and that do not belong to the target name.
func (d *Deployment) strays(name string, names []string, certificates func(dir string) map[string][]string) []string {
	template := cmp.Or(d.Chain, d.Combined)
	if d.Scans == 0 || template == "" {
		return nil
	}
	ours := d.Paths(name)
	var found []string
	index := certificates(filepath.Dir(expand(template, name)))
	for _, host := range names {
		for _, f := range index[host] {
			if !slices.Contains(ours, f) && !slices.Contains(found, f) {
				found = append(found, f)
			}
		}
	}
	slices.Sort(found)
	return found
}

// certificates lists the files with a valid certificate by its names, as deep below
// dir as the server scans.
func (d *Deployment) certificates(dir string) map[string][]string {
	index := map[string][]string{}
	left, now := maxStrays, time.Now()
	filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		depth := strings.Count(rel, "/")
		switch {
		case err != nil || path == dir:
			return nil
		case left == 0:
			return fs.SkipAll
		case entry.IsDir() && (depth+1 >= d.Scans || strings.HasPrefix(entry.Name(), ".")):
			return fs.SkipDir
		case entry.IsDir(), strings.HasPrefix(entry.Name(), "."):
			return nil
		}
		left--
		if leaf := leafOf(path); leaf != nil && now.Before(leaf.NotAfter) {
			for _, name := range leaf.DNSNames {
				index[name] = append(index[name], path)
			}
		}
		return nil
	})
	return index
}

// leafOf returns the first certificate in the file path, or nil.
func leafOf(path string) *x509.Certificate {
	f, ok, err := read(path)
	if !ok || err != nil {
		return nil
	}
	for block, rest := pem.Decode(f.data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			leaf, _ := x509.ParseCertificate(block.Bytes)
			return leaf
		}
	}
	return nil
}

// inPlace returns the names of the certificate that the target name has in
// place.
func (d *Deployment) inPlace(name string) []string {
	for _, path := range d.Paths(name) {
		if leaf := leafOf(path); leaf != nil {
			return leaf.DNSNames
		}
	}
	return nil
}
