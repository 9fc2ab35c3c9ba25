package config

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"keypaird/renew/keypair"
)

// absolute reports whether a path is one from the root on, and notes if not.
func (c *checker) absolute(p path, file, remedy string) bool {
	switch {
	case !filepath.IsAbs(file):
		c.wrong(p, remedy, "%q is not an absolute path", file)
	case strings.ContainsRune(file, 0):
		c.wrong(p, "leave it out", "%q holds a null character", file)
	default:
		return true
	}
	return false
}

// secretFile reads a file that holds a secret. What is no path may be the secret
// itself, and is not repeated.
func (c *checker) secretFile(p path, file string) ([]byte, bool) {
	if !filepath.IsAbs(file) || strings.ContainsRune(file, 0) {
		c.wrong(p, "put the secret in a file, and write the path of the file from / on", "is not an absolute path")
		return nil, false
	}
	if c.sealed {
		return nil, true
	}
	data, info, err := readFile(file, maxSmall)
	if err != nil {
		c.wrong(p, secretRemedy(err), "%s: %v", file, err)
		return nil, false
	}
	if perm := info.Mode().Perm(); perm&0o007 != 0 {
		c.wrong(p, "chmod o= "+file, "%s can be used by others (mode %04o)", file, perm)
		return nil, false
	}
	return data, true
}

// secretRemedy is for a file with a secret that cannot be read.
func secretRemedy(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "run this as root or the user keypaird runs as, or let that user read the file, by its group (mode 0640), and pass through its directories"
	}
	return "put the secret there, readable for whoever runs keypaird and nobody else"
}

const nameRemedy = "use a-z 0-9 . _ - and begin with a letter or digit"

// tableName checks a name that becomes a directory or a reference.
func (c *checker) tableName(p path, name string) {
	if !isTableName(name) || strings.HasPrefix(name, "*") {
		c.wrong(p, nameRemedy, "%q cannot be the name of a table", name)
	}
}

// isTableName tells whether a name can be part of a path, and whether programs
// will take that for a path.
func isTableName(name string) bool {
	return keypair.CheckName(name) == nil && !strings.HasPrefix(name, "-")
}

// program checks an argument list. Arguments may hold secrets, and so may a
// whole command line that was written as one string.
func (c *checker) program(p path, argv []string) {
	if len(argv) == 0 {
		return
	}
	name := strings.Fields(argv[0] + " ")
	switch {
	case len(name) == 0:
		c.wrong(p, "name a program", "the program is empty")
	case strings.ContainsAny(argv[0], " \t\n"):
		c.wrong(p, `write the program and each argument as a string of its own: ["rcctl", "reload", "relayd"]`, "%q and what follows it stand in one string", name[0])
	case strings.Contains(argv[0], "/") && !filepath.IsAbs(argv[0]):
		c.wrong(p, "write the path from / on, or the bare name", "%q is neither a bare name nor an absolute path", argv[0])
	}
	for _, arg := range argv {
		switch {
		case strings.ContainsRune(arg, 0):
			c.wrong(p, "leave it out", "an argument holds a null character")
		case strings.Contains(arg, "{name}"):
			c.wrong(p, "have the program read $KEYPAIRD_NAMES: it runs once for all targets", "{name} is not filled in here")
		}
	}
}
