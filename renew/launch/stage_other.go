//go:build !linux

package launch

import (
	"fmt"
	"os"
	"strconv"
)

func program() (string, error) { return os.Executable() }

// exec gives up what the child need not have and becomes it. Descriptors other than
// the first three close by themselves: the Go runtime opens all of them so.
func (s *stage) exec() error {
	Create(s.New)
	if err := s.limits(); err != nil {
		return err
	}
	return s.run()
}

// Missing lists the restrictions that this system cannot enforce.
func Missing() []string { return missing }

// Means returns what a child is confined by before it confines itself.
func Means() string { return "" }

// countsData: here RLIMIT_DATA may count what the Go runtime only reserves.
const countsData = false

// Descriptors is where a process finds the files that it has open.
const Descriptors = "/dev/fd/"

// Hand returns a file, for the Files of a child, that the child opens at [Descriptors] and
// its number, to read what f holds, whatever user it has. Here it is f itself: to open it
// there is to duplicate its descriptor, which has one place for all to read on from, see
// [Rewind].
func Hand(f *os.File) (*os.File, error) {
	if _, err := os.Stat(Descriptors + strconv.Itoa(int(f.Fd()))); err != nil {
		return nil, fmt.Errorf("descriptors are no files here, on FreeBSD without fdescfs(5): %w", err)
	}
	return f, nil
}
