package hooks

import (
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"keypaird/renew/problem"
)

// Warnings lists reasons why a deployment of the target name may be ineffective or
// insecure. For many targets, use [Deployment.Warner].
func (d *Deployment) Warnings(name string) []string { return d.Warner()(name) }

// Warner returns a function that does as Warnings and reads each directory once.
func (d *Deployment) Warner() func(name string) []string {
	read := looks{remembering(namesIn), remembering(d.certificates)}
	return func(name string) []string { return d.warnings(name, append(d.inPlace(name), name), read) }
}

// looks list directories.
type looks struct {
	names        func(dir string) []string
	certificates func(dir string) map[string][]string // files by the names they are for
}

// warnings is Warnings for a target that is for the given names.
func (d *Deployment) warnings(name string, names []string, read looks) []string {
	var list []string
	if d.ofRelayd() && strings.HasSuffix(d.Chain, "/{name}.crt") {
		chain := expand(d.Chain, name)
		for _, other := range withPorts(chain, read.names) {
			list = append(list, fmt.Sprintf("%s exists, and on that port relayd prefers it to %s: remove it, or set chain and key of [deploy.%s] to names with the port", other, chain, d.Name))
		}
	}
	for _, other := range d.strays(name, names, read.certificates) {
		list = append(list, fmt.Sprintf("%s holds a certificate for a name of %q, and the server of [deploy.%s] may serve it instead: remove it", other, name, d.Name))
	}
	for _, path := range d.Paths(name) {
		if mounted(path) {
			list = append(list, fmt.Sprintf("%s is a mount point, and can only be written where it is: a crash meanwhile leaves half of it; mount %s instead", path, filepath.Dir(path)))
		}
	}
	if (d.Key != "" || d.Combined != "" || d.PKCS12 != "") && d.KeyMode&0o007 != 0 {
		list = append(list, fmt.Sprintf("key_mode %04o of [deploy.%s] lets every user of this machine read the private key: use 0640 and a group", d.KeyMode, d.Name))
	}
	return list
}

// ofRelayd reports whether the deployment is for relayd(8).
func (d *Deployment) ofRelayd() bool {
	return d.Name == "relayd" || slices.ContainsFunc(slices.Concat(d.Check, d.Reload), func(arg string) bool {
		return slices.Contains([]string{"relayd", "relayctl"}, filepath.Base(arg))
	})
}

// withPorts returns the files NAME:PORT.crt beside NAME.crt.
func withPorts(chain string, names func(dir string) []string) []string {
	dir, base := filepath.Split(chain)
	prefix := strings.TrimSuffix(base, ".crt") + ":"
	var list []string
	for _, n := range names(dir) {
		rest, ok := strings.CutPrefix(n, prefix)
		port, isCert := strings.CutSuffix(rest, ".crt")
		if _, err := strconv.ParseUint(port, 10, 16); ok && isCert && err == nil {
			list = append(list, filepath.Join(dir, n))
		}
	}
	slices.Sort(list)
	return list
}

// namesIn lists a directory; if it cannot be read, it lists nothing.
func namesIn(dir string) (names []string) {
	if h, err := os.Open(dir); err == nil {
		names, _ = h.Readdirnames(-1)
		h.Close()
	}
	return names
}

// remembering calls f once for each argument.
func remembering[T any](f func(string) T) func(string) T {
	known := map[string]T{}
	return func(arg string) T {
		if _, ok := known[arg]; !ok {
			known[arg] = f(arg)
		}
		return known[arg]
	}
}

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
