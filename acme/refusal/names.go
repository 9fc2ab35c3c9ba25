package refusal

import (
	"cmp"
	"fmt"
	"slices"

	"keypaird/renew/problem"
)

// namesError holds the errors of several names that failed their authorization.
type namesError []error

func (e namesError) Error() string {
	if len(e) == 2 {
		return fmt.Sprintf("%v (and 1 more name)", e[0])
	}
	return fmt.Sprintf("%v (and %d more names)", e[0], len(e)-1)
}

func (e namesError) Unwrap() []error { return e }

// Remedy returns the remedy of the first.
func (e namesError) Remedy() string {
	return cmp.Or(problem.Remedy(e[0]), "correct each name's error, then: keypaird issue")
}

// JoinNames returns the errors that are not nil as one error.
func JoinNames(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return namesError(errs)
}
