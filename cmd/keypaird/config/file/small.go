package file

import (
	"errors"
	"fmt"
	"io/fs"

	"keypaird/renew/durable"
	"keypaird/renew/problem"
)

// MaxSmall bounds the files that the configuration names: secrets, roots.
const MaxSmall = 1 << 20

// ReadSmall reads a regular file of at most MaxSmall. Its errors do not name the path.
func ReadSmall(path string) ([]byte, error) {
	data, _, err := durable.ReadFile(path, MaxSmall, durable.Any)
	return data, durable.Cause(err)
}

// ReadSecret reads a file that holds a secret, which others must not be able to use.
func ReadSecret(path string) ([]byte, error) {
	data, info, err := durable.ReadFile(path, MaxSmall, durable.Any)
	if err != nil {
		return nil, problem.Wrap(fmt.Errorf("%s: %w", path, durable.Cause(err)), secretRemedy(err))
	}
	if perm := info.Mode().Perm(); perm&0o007 != 0 {
		return nil, problem.Newf("chmod o= "+path, "%s can be used by others (mode %04o)", path, perm)
	}
	return data, nil
}

// secretRemedy is for a file with a secret that cannot be read.
func secretRemedy(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "run this as root or the user keypaird runs as, or let that user read the file, by its group (mode 0640), and pass through its directories"
	}
	return "put the secret there, readable only for the user who runs keypaird"
}
