package acme

import (
	"cmp"
	"fmt"
	"strings"

	"keypaird/renew/problem"
)

// A NotOfferedError reports a name that the CA does not let us prove the way
// the configuration says.
type NotOfferedError struct {
	CA, Name, Type string
	Offered        []string
}

func (e *NotOfferedError) Error() string {
	return fmt.Sprintf("%s: %s: the CA does not offer %s, only: %s", e.CA, e.Name, e.Type, strings.Join(e.Offered, " "))
}

// Remedy says what the operator can do about it.
func (e *NotOfferedError) Remedy() string {
	return "prove the name another way, or name another CA in sign_with"
}

// An UnprovenError reports that several names could not be proven.
type UnprovenError struct {
	Errs []error
}

func (e *UnprovenError) Error() string {
	return fmt.Sprintf("%v (and %s)", e.Errs[0], moreNames(len(e.Errs)-1))
}

func moreNames(n int) string {
	if n == 1 {
		return "1 more name"
	}
	return fmt.Sprintf("%d more names", n)
}

func (e *UnprovenError) Unwrap() []error { return e.Errs }

// Remedy is that of the first.
func (e *UnprovenError) Remedy() string {
	return cmp.Or(problem.Remedy(e.Errs[0]), "correct each name's error, then: keypaird issue")
}

func firstOf(errs []error) error {
	var some []error
	for _, err := range errs {
		if err != nil {
			some = append(some, err)
		}
	}
	switch len(some) {
	case 0:
		return nil
	case 1:
		return some[0]
	}
	return &UnprovenError{some}
}
