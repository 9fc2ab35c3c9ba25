// Package sandbox takes from a process what it does not need for its work, so
// that code in it that is faulty, or worse, finds little:
//
//	err := sandbox.NoCoreDumps()
//	means, err := sandbox.Process(sandbox.Keep{Read: sandbox.Named(os.Environ(), home)})
//
// On Linux that is done by Landlock, as far as the kernel has it, and on OpenBSD
// by pledge(2) and unveil(2); elsewhere Process does nothing. It is for a
// process that asks name servers and talks TLS to others: it goes on doing so,
// and reads the files that this takes, but no others. It runs no programs and
// listens to nobody.
//
// The package knows no provider and no account. It was seen at work on Linux
// only; what it does on OpenBSD follows the manual pages.
package sandbox

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A Keep is what is left to a process, besides names, TLS and time. What does
// not exist when the process is confined is passed over, and may not be read
// when it comes to exist.
type Keep struct {
	Read  []string // files, and directories with all that is below them
	Write []string // files, which may also be read; not made, and not removed
}

// Process confines the process, all of its threads, for good. It says by what
// means; the empty string if this system has none.
func Process(k Keep) (means string, err error) { return restrict(k) }

// Named lists what the variables of an environment ("NAME=VALUE") name: values
// that are the absolute path of a file, or one below home if written with ~/.
func Named(environ []string, home string) []string {
	var list []string
	for _, variable := range environ {
		_, path, _ := strings.Cut(variable, "=")
		path = strings.TrimPrefix(path, "FILE:") // Kerberos writes its caches so
		if below, ok := strings.CutPrefix(path, "~/"); ok && home != "" {
			path = filepath.Join(home, below)
		}
		if !filepath.IsAbs(path) {
			continue
		}
		// A pipe behind /dev/fd has no path of its own.
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			continue
		}
		if fi, err := os.Stat(real); err == nil && !fi.IsDir() {
			list = append(list, real)
		}
	}
	return list
}

// basics are the files behind names, protocols and local time.
func basics() []string {
	return []string{
		"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf",
		"/etc/services", "/etc/protocols",
		"/etc/localtime", "/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/usr/lib/locale/TZ", "/etc/zoneinfo",
	}
}

// bundles are the files with the certificates of CAs, as crypto/x509 looks for
// them. SSL_CERT_FILE is a variable as any other.
func bundles() []string {
	return []string{
		"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
		"/etc/pki/tls/cacert.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
	}
}

// certDirs are the directories with certificates of CAs, and sometimes with more
// than that: people keep private keys there, too.
func certDirs() []string {
	if dirs := os.Getenv("SSL_CERT_DIR"); dirs != "" {
		return strings.Split(dirs, ":")
	}
	return []string{"/etc/ssl/certs", "/etc/pki/tls/certs"}
}

// worldReadable lists the files of a directory that everybody may read anyway, each
// once, whatever links there are to it.
func worldReadable(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	type inode struct{ device, number uint64 }
	seen := map[inode]bool{}
	var list []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		var fi unix.Stat_t
		if unix.Stat(path, &fi) != nil || fi.Mode&unix.S_IFMT != unix.S_IFREG || fi.Mode&0o004 == 0 {
			continue
		}
		if id := (inode{uint64(fi.Dev), fi.Ino}); !seen[id] {
			seen[id] = true
			list = append(list, path)
		}
	}
	return list
}
