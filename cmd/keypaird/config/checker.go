package config

import (
	"path/filepath"
	"slices"
	"strings"

	files "keypaird/cmd/keypaird/config/file"

	"keypaird/hooks"
	"keypaird/renew/keypair"
	"keypaird/renew/problem"
)

// A checker looks for mistakes in a decoded configuration and brings its values
// into the one form used from here on.
type checker struct {
	*document
	cfg       *Config
	private   bool // only the owner can read the configuration
	noSecrets bool // as in Options, or this node orders nothing

	hasProvider func(code string) bool // as in Options
	hostname    func() (string, error)

	identityPaths map[string]path  // an identity by its normal name, as it is spelt in the file
	badDeploys    map[string]bool  // deployments with a mistake in what they write
	lookups       map[string]error // owners and groups looked up
	files         hooks.FileIDs    // that are written
}

// reportError reports an error that has a remedy.
func (c *checker) reportError(p path, err error) {
	if err != nil {
		c.report(p, problem.Remedy(err), "%v", err)
	}
}

// checkOneOf refuses a word that is not known.
func (c *checker) checkOneOf(p path, word string, known []string, problem string) {
	if !slices.Contains(known, word) {
		c.report(p, suggest(word, known), "%q "+problem, word)
	}
}

// checkList checks a list of words: each must be known and may be listed once.
func (c *checker) checkList(p path, list, known []string, hint, problem string) {
	for i, word := range list {
		if slices.Contains(list[:i], word) {
			c.report(p, "name it once", "%q stands twice", word)
		} else if !slices.Contains(known, word) {
			c.report(p, suggest(word, known)+hint, problem, word)
		}
	}
}

// checkAbsolute reports whether a path is absolute, and records a mistake if it is not.
func (c *checker) checkAbsolute(p path, file, remedy string) bool {
	switch {
	case !filepath.IsAbs(file):
		c.report(p, remedy, "%q is not an absolute path", file)
	case strings.ContainsRune(file, 0):
		c.report(p, "leave it out", "%q holds a null character", file)
	default:
		return true
	}
	return false
}

const nameRemedy = "use a-z 0-9 . _ - and begin with a letter or digit"

// checkTableName checks a name that becomes a directory or a reference.
func (c *checker) checkTableName(p path, name string) {
	c.reportIf(!isTableName(name) || strings.HasPrefix(name, "*"), p, nameRemedy, "%q cannot be the name of a table", name)
}

// isTableName reports whether a name can be part of a path that programs take for one.
func isTableName(name string) bool {
	return keypair.CheckName(name) == nil && !strings.HasPrefix(name, "-")
}

// checkProgram checks an argument list. Arguments may hold secrets, and so may a
// whole command line that was written as one string.
func (c *checker) checkProgram(p path, argv []string) {
	if len(argv) == 0 {
		return
	}
	name := strings.Fields(argv[0] + " ")
	switch {
	case len(name) == 0:
		c.report(p, "name a program", "the program is empty")
	case strings.ContainsAny(argv[0], " \t\n"):
		c.report(p, `write the program and each argument as a string of its own: ["rcctl", "reload", "relayd"]`, "%q and its arguments are in one string", name[0])
	case strings.Contains(argv[0], "/") && !filepath.IsAbs(argv[0]):
		c.report(p, "write the path from / on, or the bare name", "%q is neither a bare name nor an absolute path", argv[0])
	}
	for _, arg := range argv {
		c.reportIf(strings.ContainsRune(arg, 0), p, "leave it out", "an argument holds a null character")
		c.reportIf(strings.Contains(arg, "{name}"), p, "have the program read $KEYPAIRD_NAMES: it runs once for all targets", "{name} is not filled in here")
	}
}

// readSecret reads a file that holds a secret. What is no path may be the secret
// itself, and is not repeated.
func (c *checker) readSecret(p path, file string) ([]byte, bool) {
	if !filepath.IsAbs(file) || strings.ContainsRune(file, 0) {
		c.report(p, "put the secret in a file, and write the path of the file from / on", "is not an absolute path")
		return nil, false
	}
	if c.noSecrets {
		return nil, true
	}
	data, err := files.ReadSecret(file)
	c.reportError(p, err)
	return data, err == nil
}
