package cli

import (
	"errors"
	"fmt"
	"strings"

	"keypaird/renew/textfmt"
)

// A Command is one word after keypaird.
type Command struct {
	Name, Args, Does string
}

// Usage returns the usage of a command, one line.
func (c Command) Usage() string { return fmt.Sprintf("usage: keypaird %s %s\n", c.Name, c.Args) }

// Commands are what there is.
type Commands []Command

// Usage lists them.
func (list Commands) Usage() string {
	var b strings.Builder
	b.WriteString("usage: keypaird [-config FILE] COMMAND, where COMMAND is one of\n")
	for _, c := range list {
		fmt.Fprintf(&b, "  %-9s %s\n", c.Name, c.Does)
	}
	b.WriteString("what a command takes: keypaird help COMMAND\n")
	return b.String()
}

// Unknown returns the error for a name that no command has.
func (list Commands) Unknown(name string) error {
	names := []string{"help"}
	for _, c := range list {
		names = append(names, c.Name)
	}
	mistake := fmt.Sprintf("no command %q", name)
	if near := textfmt.Nearest(name, names); near != "" {
		mistake += fmt.Sprintf(", did you mean %q?", near)
	}
	return &UsageError{mistake, list.Usage()}
}

// WithUsage adds usage to a UsageError.
func WithUsage(err error, usage string) error {
	if misuse, ok := errors.AsType[*UsageError](err); ok {
		misuse.Lines = usage
	}
	return err
}
