package names

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	files "keypaird/cmd/keypaird/config/file"

	"keypaird/cmd/keypaird-names/message"
	"keypaird/renew/launch"
	"keypaird/renew/launch/find"
	"keypaird/renew/problem"
)

// Program discovers and verifies.
const Program = "keypaird-names"

// Limits of one run.
const (
	usualLimit = 10 * time.Minute // and for each domain; a minute for each target
	endLimit   = 5 * time.Second  // to exit after the answer
	maxLines   = 10_000           // of its log
	maxLine    = 4000
)

// Ask runs keypaird-names with a request and returns its answer. Its log is written to log.
// An error means that there is no answer.
func Ask(ctx context.Context, r message.Request, log io.Writer) (message.Answer, error) {
	path, err := find.Program(Program)
	if err != nil {
		return message.Answer{}, err
	}
	limit := usualLimit
	if r.Verify != nil {
		limit += usualLimit*time.Duration(len(r.Verify.Domains)) + time.Minute*time.Duration(len(r.Verify.Targets))
	}
	return ask(ctx, path, limit, r, log)
}

// environment returns the variables of this process that keypaird-names has, too: where
// trusted CAs are, the time zone, and settings of the Go runtime.
func environment() (list []string) {
	for _, name := range []string{"SSL_CERT_FILE", "SSL_CERT_DIR", "TZ", "GODEBUG"} {
		if value, ok := os.LookupEnv(name); ok {
			list = append(list, name+"="+value)
		}
	}
	return list
}

// launched returns what keypaird-names may do.
func launched(path string) (c launch.Child, err error) {
	c = launch.Child{Path: path, Env: environment(), Client: true}
	if means := launch.Means(); means != "" {
		c.Args = []string{"-confined", means}
	}
	c.User, err = launch.NetUser()
	return c, err
}

// ask is Ask with the path of the program, and for so long at most.
func ask(ctx context.Context, path string, limit time.Duration, r message.Request, log io.Writer) (message.Answer, error) {
	if file := os.Getenv("SSL_CERT_FILE"); file != "" && !r.Lookup.RootsOnly { // it may be closed to the program
		pem, _ := files.ReadSmall(file) // as crypto/x509 does without one that cannot be read
		r.Lookup.Roots = slices.Concat(r.Lookup.Roots, []byte("\n"), pem)
	}
	request, err := json.Marshal(r)
	if err != nil {
		return message.Answer{}, err
	}
	if len(request) > message.MaxRequest {
		return message.Answer{}, problem.New("there are too many targets to verify at once", "name some of them: keypaird verify NAME")
	}
	c, err := launched(path)
	if err != nil {
		return message.Answer{}, err
	}
	limited, kill := context.WithTimeoutCause(ctx, limit, errSilent)
	defer kill()
	k, err := start(limited, c)
	if err != nil {
		remedy := ""
		if errors.Is(err, fs.ErrPermission) { // of keypaird, which becomes the program
			remedy = "let " + netUser() + " execute keypaird, too: it starts " + Program + " as that user"
		}
		return message.Answer{}, problem.Newf(remedy, "starting %s: %w", Program, err)
	}
	if !r.Verbose {
		log = io.Discard
	}
	a, fault := k.converse(limited, kill, request, r.Format, log)
	switch {
	case ctx.Err() != nil:
		return message.Answer{}, context.Cause(ctx)
	case fault != nil:
		return message.Answer{}, fault
	}
	return a, nil
}

var errSilent = errors.New("does not answer")
