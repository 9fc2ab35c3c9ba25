package preflight

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"keypaird/hooks"
)

// socketLimit is how long haproxy's socket may take to answer.
const socketLimit = 3 * time.Second

// checkMaster warns if the socket of a deployment does not answer, or is haproxy's
// master CLI, which knows no certificates.
func checkMaster(ctx context.Context, d *hooks.Deployment) []Finding {
	if detail, _ := socketProblem(d.Socket); d.Socket == "" || detail != "" {
		return nil // reported as a setting
	}
	f := Finding{Check: "deploy", Subject: d.Name, Result: Warning}
	answer, err := askSocket(ctx, d.Socket, "show proc\n")
	switch {
	case strings.HasPrefix(answer, "#<PID>"): // it waits for the next command
		f.Detail, f.Remedy = d.Socket+" is haproxy's master CLI (-S), which cannot exchange certificates", "set socket to a stats socket with level admin, as in: stats socket /run/haproxy/admin.sock mode 600 level admin"
	case err != nil:
		f.Detail, f.Remedy = d.Socket+" does not answer: "+err.Error(), "start haproxy; until it runs, pairs are only written to their files"
	default:
		return nil
	}
	return []Finding{f}
}

// askSocket returns the answer to one command.
func askSocket(ctx context.Context, path, command string) (string, error) {
	limited, cancel := context.WithTimeout(ctx, socketLimit)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(limited, "unix", path)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err
		}
		return "", err
	}
	defer conn.Close()
	deadline, _ := limited.Deadline()
	conn.SetDeadline(deadline)
	if _, err := io.WriteString(conn, command); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(io.LimitReader(conn, 64<<10))
	return string(answer), err
}
