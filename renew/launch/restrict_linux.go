package launch

import (
	"fmt"
	"os"
	"slices"

	"github.com/landlock-lsm/go-landlock/landlock"
	"github.com/landlock-lsm/go-landlock/landlock/syscall"

	"keypaird/renew/launch/syscalls"
)

const (
	readFile  landlock.AccessFSSet = syscall.AccessFSReadFile
	readDir   landlock.AccessFSSet = syscall.AccessFSReadDir
	writeFile landlock.AccessFSSet = readFile | syscall.AccessFSWriteFile | syscall.AccessFSTruncate
)

// What the kernel has and what is asked of it. Tests have older kernels.
var (
	landlockVersion = usableLandlock
	strictest       = landlock.V11
)

// usableLandlock returns the version of Landlock. Package landlock applies it to all threads.
func usableLandlock() (int, error) {
	if err := syscalls.Threads(); err != nil {
		return 0, err
	}
	return syscall.LandlockGetABIVersion()
}

// restrict uses Landlock to deny changing files, reading others than those listed,
// running programs other than those given, connecting to unix sockets, signals to other processes and
// binding a TCP port. Landlock does not restrict MPTCP sockets yet, and an older
// kernel denies less.
//
// A rule applies to the file that has the name now, even if it is renamed later.
func restrict(k Keep, programs ...string) (mechanism string, err error) {
	abi, err := landlockVersion()
	if err != nil {
		return "", nil // not in this kernel, or denied by an outer sandbox
	}
	c := strictest
	c.HandledAccessNet &= syscall.AccessNetBindTCP
	var rules []landlock.Rule
	rule := func(access landlock.AccessFSSet, path string) landlock.Rule {
		return landlock.PathAccess(access&c.HandledAccessFS, path).IgnoreIfMissing()
	}
	read, dirs := k.Read, []string(nil)
	if !k.Bare {
		read, dirs = slices.Concat(basics(), bundles(), k.Read), certDirs()
	}
	for _, path := range read {
		fi, err := os.Stat(path)
		if err != nil {
			continue
		}
		access := readFile
		if fi.IsDir() {
			access |= readDir
		}
		rules = append(rules, rule(access, path))
	}
	for _, dir := range dirs {
		for _, path := range worldReadable(dir) {
			rules = append(rules, rule(readFile, path))
		}
		if fi, err := os.Stat(dir); err == nil && fi.IsDir() {
			rules = append(rules, rule(readDir, dir))
		}
	}
	for _, path := range programs {
		if _, err := os.Stat(path); err == nil { // else to run it fails, with its reason
			rules = append(rules, rule(readFile|syscall.AccessFSExecute, path))
		}
	}
	for _, path := range k.Write {
		if _, err := os.Stat(path); err == nil {
			rules = append(rules, rule(writeFile, path))
		}
	}
	if err := c.BestEffort().Restrict(rules...); err != nil {
		return "", fmt.Errorf("landlock: %w", err)
	}
	return fmt.Sprintf("Landlock, version %d", abi), nil
}

func confineServer() error { return nil } // the stage has done it
