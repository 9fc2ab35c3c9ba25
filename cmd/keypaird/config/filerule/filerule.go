// Package filerule checks paths and permissions of files that deployments write. Each
// error comes with a remedy.
package filerule

import (
	"path/filepath"
	"strconv"
	"strings"

	"keypaird/renew/problem"
)

// Template checks an absolute path that may hold {name}, if named.
func Template(s string, named bool) error {
	bare := strings.ReplaceAll(s, "{name}", "")
	switch {
	case !named && bare != s:
		return problem.Newf("write the path of the one socket", "%q differs by target", s)
	case strings.ContainsAny(bare, "{}"):
		return problem.Newf("{name}, the target's name, is the only one there is", "%q holds an unknown placeholder", s)
	case strings.HasSuffix(s, "/"):
		return problem.Newf("write the path of a file: "+filepath.Join(s, "{name}.pem"), "%q is a directory", s)
	case filepath.Clean(s) != s:
		return problem.Newf("write it as "+filepath.Clean(s), "%q is not in its shortest form", s)
	}
	return nil
}

// Mode checks permissions. others are those that users beside owner and group may have.
func Mode(s string, others uint64) error {
	m, err := strconv.ParseUint(s, 8, 16)
	remedy := `write "0600", or "0640" for the server's group`
	if others != 0 {
		remedy = `write "0644", or less`
	}
	switch {
	case err != nil || m > 0o7777:
		return problem.Newf(remedy, "%q is not a file mode in octal", s)
	case m&0o400 == 0:
		return problem.Newf(remedy, "%q keeps the owner from reading", s)
	case m&0o7111 != 0:
		return problem.Newf(remedy, "%q has execute or special bits", s)
	case m&0o022 != 0:
		return problem.Newf(remedy, "%q lets others write", s)
	case m&0o007&^others != 0:
		return problem.Newf(remedy, "%q lets everybody read a private key", s)
	}
	return nil
}
