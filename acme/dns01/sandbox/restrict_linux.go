package sandbox

import (
	"fmt"
	"os"

	"github.com/landlock-lsm/go-landlock/landlock"
	"github.com/landlock-lsm/go-landlock/landlock/syscall"
)

const (
	readFile  landlock.AccessFSSet = syscall.AccessFSReadFile
	readDir   landlock.AccessFSSet = syscall.AccessFSReadDir
	writeFile landlock.AccessFSSet = readFile | syscall.AccessFSWriteFile | syscall.AccessFSTruncate
)

// restrict allows what the rules say and nothing else: no writing, no running of
// programs, no unix sockets, no signals to others. Of the network it denies what
// binds a TCP port; MPTCP sockets are out of the kernel's reach so far. A kernel
// that knows less denies less.
//
// A rule is for what is there now, whatever becomes of its name.
func restrict(k Keep) (means string, err error) {
	abi, err := syscall.LandlockGetABIVersion()
	if err != nil {
		return "", nil // the kernel has none, or a sandbox around us keeps it from us
	}
	c := landlock.V11
	c.HandledAccessNet &= syscall.AccessNetBindTCP
	var rules []landlock.Rule
	for _, path := range append(append(basics(), bundles()...), k.Read...) {
		fi, err := os.Stat(path)
		if err != nil {
			continue
		}
		access := readFile
		if fi.IsDir() {
			access |= readDir
		}
		rules = append(rules, landlock.PathAccess(access, path).IgnoreIfMissing())
	}
	for _, dir := range certDirs() {
		for _, path := range worldReadable(dir) {
			rules = append(rules, landlock.PathAccess(readFile, path).IgnoreIfMissing())
		}
		if fi, err := os.Stat(dir); err == nil && fi.IsDir() {
			rules = append(rules, landlock.PathAccess(readDir, dir).IgnoreIfMissing())
		}
	}
	for _, path := range k.Write {
		if _, err := os.Stat(path); err == nil {
			rules = append(rules, landlock.PathAccess(writeFile, path).IgnoreIfMissing())
		}
	}
	if err := c.BestEffort().Restrict(rules...); err != nil {
		return "", fmt.Errorf("landlock: %w", err)
	}
	return fmt.Sprintf("Landlock, version %d", abi), nil
}
