package problem

import (
	"errors"
	"fmt"
	"strings"
)

// problem is an error with its remedy.
type problem struct {
	err    error
	remedy string
}

func (p *problem) Error() string  { return p.err.Error() }
func (p *problem) Unwrap() error  { return p.err }
func (p *problem) Remedy() string { return p.remedy }

// New returns an error with a remedy.
func New(message, remedy string) error {
	return &problem{errors.New(message), remedy}
}

// Newf returns an error with a remedy and a message as fmt.Errorf makes it; %w
// wraps. The remedy comes first and is used as it is.
func Newf(remedy, format string, args ...any) error {
	return &problem{fmt.Errorf(format, args...), remedy}
}

// Wrap returns err with a remedy, which takes precedence over the remedies of
// what err wraps. Where it is only a guess, let those win:
//
//	problem.Wrap(err, cmp.Or(problem.Remedy(err), "run the command by hand"))
//
// Wrap of nil is nil.
func Wrap(err error, remedy string) error {
	if err == nil {
		return nil
	}
	return &problem{err, remedy}
}

// OneLine returns the text of err on one line.
func OneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// Remedy returns the outermost remedy in err's tree that is not empty, or "".
// The tree is walked as errors.As walks it.
func Remedy(err error) string {
	if r, ok := err.(interface{ Remedy() string }); ok {
		if text := r.Remedy(); text != "" {
			return text
		}
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return Remedy(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			if text := Remedy(err); text != "" {
				return text
			}
		}
	}
	return ""
}
