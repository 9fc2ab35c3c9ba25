package launch

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Named returns the existing files that an environment ("NAME=VALUE") names: by an
// absolute path, or by one that begins with ~/ and is below home.
func Named(environ []string, home string) []string {
	var list []string
	for _, variable := range environ {
		_, value, _ := strings.Cut(variable, "=")
		path := Path(value, home)
		if path == "" {
			continue
		}
		// A pipe in /dev/fd has no path of its own.
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

// Path returns the absolute path that the value of a variable is, "" if it is none.
func Path(value, home string) string {
	path := strings.TrimPrefix(value, "FILE:") // form of Kerberos caches
	if below, ok := strings.CutPrefix(path, "~/"); ok && home != "" {
		path = filepath.Join(home, below)
	}
	if !filepath.IsAbs(path) {
		return ""
	}
	return path
}

// Rewind has the files that were handed over to this process, and that variables name,
// begin anew. It is needed where /dev/fd duplicates descriptors.
func Rewind(environ []string) {
	for _, variable := range environ {
		_, number, _ := strings.Cut(variable, "="+Descriptors)
		if fd, err := strconv.Atoi(number); err == nil && fd > 2 {
			_, _ = unix.Seek(fd, 0, 0)
		}
	}
}

// MaxHanded bounds a file that is handed over to a child.
const MaxHanded = 1 << 20

// basics returns the files of name resolution, protocols and local time.
func basics() []string {
	return []string{
		"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf",
		"/etc/services", "/etc/protocols",
		"/etc/localtime", "/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/usr/lib/locale/TZ", "/etc/zoneinfo",
	}
}

// bundles returns the files in which crypto/x509 looks for CA certificates. The
// file of SSL_CERT_FILE comes from Named.
func bundles() []string {
	return []string{
		"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
		"/etc/pki/tls/cacert.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
	}
}

// certDirs returns the directories in which crypto/x509 looks for CA certificates.
// They may also contain private keys.
func certDirs() []string {
	if dirs := os.Getenv("SSL_CERT_DIR"); dirs != "" {
		return strings.Split(dirs, ":")
	}
	return []string{"/etc/ssl/certs", "/etc/pki/tls/certs"}
}

// worldReadable returns the files of a directory that every user may read, each
// once, however many links lead to it.
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
