//go:build !linux

package launch

import "os"

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

// Missing returns what this system cannot enforce.
func Missing() []string { return missing }

// Means returns what a child is confined by before it confines itself.
func Means() string { return "" }
