package keypair

import (
	"fmt"
	"strconv"
	"strings"

	"keypaird/renew/problem"
)

const (
	maxName  = 253 // octets of a DNS name
	wildcard = "_wildcard."
	liveLink = "live"
)

// nameError is the error of a name that cannot be that of a directory or file in a
// store.
func nameError(name, why string) error {
	return problem.New(fmt.Sprintf("name %.100q %s", name, why),
		`use lower-case letters, digits, ".", "_" and "-", at most 253 of them; "*." may come first`)
}

// CheckName reports whether a store can keep pairs under name.
func CheckName(name string) error {
	_, err := dirName(name)
	return err
}

// dirName maps a name to that of its directory.
func dirName(name string) (string, error) {
	rest, isWildcard := strings.CutPrefix(name, "*.")
	if why := badName(rest); why != "" {
		return "", nameError(name, why)
	}
	if strings.HasPrefix(rest, wildcard) {
		return "", nameError(name, `is where the store keeps a wildcard, which is written with "*."`)
	}
	if len(name) > maxName {
		return "", nameError(name, fmt.Sprintf("is longer than %d characters", maxName))
	}
	if !isWildcard {
		return rest, nil
	}
	if len(wildcard)+len(rest) > 255 { // NAME_MAX
		return "", nameError(name, "is too long for a wildcard")
	}
	return wildcard + rest, nil
}

// badName says why name cannot be one component of a path; empty if it can.
func badName(name string) string {
	switch {
	case name == "":
		return "is empty"
	case len(name) > maxName:
		return fmt.Sprintf("is longer than %d characters", maxName)
	case name[0] == '.':
		return "begins with a dot"
	case strings.Contains(name, ".."):
		return `contains ".."`
	}
	for _, c := range name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789._-", c) {
			return fmt.Sprintf("contains %q", c)
		}
	}
	return ""
}

// stateFile takes the name of a state file apart: "record.json" or
// "pending/key.pem".
func stateFile(file string) (parent, base string, err error) {
	base = file
	if before, after, ok := strings.Cut(file, "/"); ok {
		if parent, base = before, after; badName(parent) != "" {
			return "", "", nameError(file, badName(parent))
		}
	}
	if why := badName(base); why != "" {
		return "", "", nameError(file, why)
	}
	first := base
	if parent != "" {
		first = parent
	}
	if first == liveLink || number(first) > 0 {
		return "", "", nameError(file, "is where the store keeps the pairs themselves")
	}
	return parent, base, nil
}

// versionID is the name of the n-th version.
func versionID(n int) string { return fmt.Sprintf("v%06d", n) }

// number is the n of a version's name, 0 if it is not one.
func number(id string) int {
	digits, ok := strings.CutPrefix(id, "v")
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n <= 0 || versionID(n) != id {
		return 0
	}
	return n
}
