package renew

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"keypaird/renew/durable"
	"keypaird/renew/problem"
)

// Remedy returns what err says the operator can do about it, or "".
func Remedy(err error) string {
	if text := machineRemedy(err); text != "" {
		return text
	}
	return problem.Remedy(err)
}

// machineRemedy is what can be done where the machine is at fault, its disk or
// its limits: then nothing else helps, whatever was being done.
func machineRemedy(err error) string {
	var written *durable.WriteError
	var read *durable.ReadError
	if errors.As(err, &written) || errors.As(err, &read) {
		return "" // they know
	}
	for _, fault := range []error{syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, fault) {
			return (&durable.WriteError{Err: fault}).Remedy()
		}
	}
	path := pathOf(err)
	if path == "" {
		return ""
	}
	for _, fault := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS} {
		if errors.Is(err, fault) {
			return (&durable.WriteError{Path: path, Err: fault}).Remedy()
		}
	}
	if errors.Is(err, syscall.EIO) {
		return (&durable.ReadError{Path: path, Err: syscall.EIO}).Remedy()
	}
	return ""
}

// pathOf is the file that err is about, or "".
func pathOf(err error) string {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Path
	case errors.As(err, &link):
		return link.New
	}
	return ""
}
