package hooks

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"keypaird/renew/durable"
	"keypaird/renew/problem"
	"keypaird/renew/sockets"
	"keypaird/renew/textfmt"
	"keypaird/renew/unixsocket"
)

// Limits on one exchange with haproxy.
const (
	socketTimeout = 10 * time.Second
	maxAnswer     = 64 << 10
	maxReason     = 512 // of an answer in an error
)

// errUnknownFile: the running haproxy has not loaded the file, as with each new name.
var errUnknownFile = errors.New("haproxy has not loaded that file yet")

// socketError returns the error for haproxy's refusal of a command on its stats
// socket.
func socketError(command, answer string) error {
	text := textfmt.OneLine(answer, maxReason)
	remedy := "give the command to the socket by hand, or configure reload instead"
	switch a := strings.ToLower(answer); {
	case strings.Contains(a, "not referenced"), strings.Contains(a, "can't replace"):
		remedy = "name the file in haproxy's configuration and reload haproxy once, or configure reload"
		return problem.Newf(remedy, "haproxy: %s: %s: %w", command, text, errUnknownFile)
	case strings.Contains(a, "permission denied"):
		remedy = "give the stats socket \"level admin\" in haproxy's configuration"
	case strings.Contains(a, "ongoing transaction"):
		remedy = "abort the unfinished transaction: echo 'abort ssl cert FILE' | socat stdio SOCKET"
	}
	return problem.Newf(remedy, "haproxy: %s: %s", command, text)
}

// CheckSocket checks that a worker of haproxy answers at the socket, and that it may be
// sent the keys of the named targets. Nothing is changed.
func (d *Deployment) CheckSocket(ctx context.Context, targets ...string) error {
	if err := safeSocket(d.Socket); err != nil {
		return err
	}
	var files []string
	for _, name := range targets {
		files = append(files, expand(d.Combined, name))
	}
	// Only the master knows the command. It would keep the connection open.
	answer, err := d.ask(ctx, "show proc;quit\n", files...)
	if err == nil && strings.HasPrefix(answer, "#<PID>") {
		return problem.Newf("name the worker's stats socket in [deploy."+d.Name+"]: the one that \"stats socket PATH level admin\" in the global section of haproxy's configuration makes", "%s is haproxy's master CLI, which takes no certificates", d.Socket)
	}
	return err
}

// update replaces a certificate in the running haproxy. The file at path must be
// written before: on the next reload, haproxy reads it.
func (d *Deployment) update(ctx context.Context, path string, pem []byte) error {
	if strings.ContainsAny(path, " \t\n;\\<") {
		return problem.Newf("use a path without spaces and special characters, or leave socket out", "%q cannot be given to haproxy's socket", path)
	}
	// An empty line ends the payload (management.txt, "set ssl cert").
	pem = bytes.TrimSpace(pem)
	for bytes.Contains(pem, []byte("\n\n")) {
		pem = bytes.ReplaceAll(pem, []byte("\n\n"), []byte("\n"))
	}
	set := "set ssl cert " + path
	answer, err := d.ask(ctx, set+" <<\n"+string(pem)+"\n\n", path)
	switch {
	case err != nil:
		return fmt.Errorf("haproxy: %s: %w", set, err)
	case !strings.Contains(answer, "ransaction created") && !strings.Contains(answer, "ransaction updated"):
		return socketError(set, answer)
	}
	commit := "commit ssl cert " + path
	answer, err = d.ask(ctx, commit+"\n")
	if err == nil && strings.Contains(answer, "Success") {
		return nil
	}
	// Abort an unfinished transaction, even after an interrupt.
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if _, e := d.ask(cleanup, "abort ssl cert "+path+"\n"); e != nil {
		cmp.Or(d.Log, slog.New(slog.DiscardHandler)).Warn("transaction not aborted", "socket", d.Socket, "file", path, "err", e)
	}
	if err != nil {
		return fmt.Errorf("haproxy: %s: %w", commit, err)
	}
	return socketError(commit, answer)
}

// ask sends haproxy one command and returns the answer, if the process at the socket may
// have the keys in files: it is asked nothing before that is known.
func (d *Deployment) ask(ctx context.Context, command string, files ...string) (string, error) {
	limited, cancel := context.WithTimeout(ctx, min(d.timeout(), socketTimeout))
	defer cancel()
	conn, err := sockets.Dial(limited, net.Dialer{}, "unix", d.Socket)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err
		}
		return "", socketFailed(ctx, d.Socket, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(limited, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := d.checkPeer(conn.(*net.UnixConn), files); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, command); err != nil {
		return "", socketFailed(ctx, d.Socket, err)
	}
	answer, err := io.ReadAll(io.LimitReader(conn, maxAnswer+1))
	if err != nil {
		return "", socketFailed(ctx, d.Socket, err)
	}
	if len(answer) > maxAnswer {
		return "", problem.New(d.Socket+" answers without end", "see that socket of [deploy."+d.Name+"] is haproxy's stats socket, restart haproxy, then: keypaird issue")
	}
	return string(answer), nil
}

// socketFailed returns the error of a failed exchange. An interrupt is not a failure.
func socketFailed(ctx context.Context, socket string, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return problem.New(socket+" does not answer", "see in haproxy's log and with top(1) why it hangs, restart it, then: keypaird issue")
	case errors.Is(err, fs.ErrPermission):
		return problem.Newf("run keypaird as root, or let its user write "+socket+": mode, user and group after stats socket in haproxy's configuration", "%s: %w", socket, err)
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return problem.New("nothing listens at "+socket+": is haproxy running?", "start haproxy; if it runs, add \"stats socket "+socket+" mode 600 level admin\" to the global section of its configuration and reload it")
	}
	return problem.Newf("see what haproxy's log says, and that "+socket+" is its stats socket, then: keypaird issue", "%s: %w", socket, err)
}

// checkPeer returns an error unless the process at the socket may have the keys in files:
// it is root's or ours, or it can read them anyway. It does not matter then which users can
// write the directory of the socket: packages give it to haproxy's user and group, and the
// socket that one of their members puts there is that member's.
func (d *Deployment) checkPeer(conn *net.UnixConn, files []string) error {
	if len(files) == 0 {
		return nil
	}
	peer, err := unixsocket.PeerOf(conn)
	if err != nil {
		return problem.Newf("leave socket out, and configure reload", "%s: the user who listens there is not known: %w", d.Socket, err)
	}
	if peer.UID == 0 || peer.UID == os.Geteuid() {
		return nil
	}
	for _, path := range files {
		if !d.readableBy(peer, path) {
			remedy := fmt.Sprintf("find the program that listens there (ss -xlp, sockstat or fstat); if it is haproxy, let user %d read its files: set owner, or group and key_mode = \"0640\", in [deploy.%s]; else move the socket into a directory that only root and haproxy can write", peer.UID, d.Name)
			return problem.Newf(remedy, "%s: user %d listens there, who may not read %s, and is sent no private key", d.Socket, peer.UID, path)
		}
	}
	return nil
}

// readableBy reports whether the peer can read a file; one that is not there yet, as it
// would be written.
func (d *Deployment) readableBy(peer unixsocket.Peer, path string) bool {
	id, err := d.owner()
	if err != nil {
		return false
	}
	mode := cmp.Or(d.KeyMode, 0o600)
	if info, err := os.Stat(path); err == nil {
		st := info.Sys().(*syscall.Stat_t)
		id, mode = ids{int(st.Uid), int(st.Gid)}, info.Mode()
	}
	switch {
	case peer.UID == id.uid:
		return mode&0o400 != 0
	case id.gid != -1 && inGroup(peer, id.gid):
		return mode&0o040 != 0
	}
	return mode&0o004 != 0
}

// inGroup reports whether a group is the peer's, or one of its user's.
func inGroup(peer unixsocket.Peer, gid int) bool {
	if peer.GID == gid {
		return true
	}
	u, err := user.LookupId(strconv.Itoa(peer.UID))
	if err != nil {
		return false // of a container
	}
	groups, err := u.GroupIds()
	return err == nil && slices.Contains(groups, strconv.Itoa(gid))
}

// safeSocket refuses a socket below a directory that every user can write.
func safeSocket(path string) error {
	fi, err := os.Stat(path)
	if err != nil {
		return socketFailed(context.Background(), path, err)
	}
	if fi.Mode()&fs.ModeSocket == 0 {
		return problem.New(path+" is not a socket", "name haproxy's stats socket")
	}
	at, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	for at != "/" {
		at = filepath.Dir(at)
		di, err := os.Stat(at)
		if err != nil {
			return err
		}
		_, trusted := durable.Owner(di)
		if di.Mode().Perm()&0o002 != 0 && !(di.Mode()&fs.ModeSticky != 0 && trusted) {
			return problem.Newf("put the socket into a directory of root's or haproxy's, such as /run/haproxy", "%s: every user can write %s, and keypaird sends this socket a private key", path, at)
		}
	}
	return nil
}
