package unixsocket

import "net"

// A Peer is the user, and the primary group, of the process that listens, as they were
// when it called listen(2).
type Peer struct{ UID, GID int }

// PeerOf returns the peer of a connection that this process made.
func PeerOf(conn *net.UnixConn) (p Peer, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return p, err
	}
	if e := raw.Control(func(fd uintptr) { p, err = peerOf(int(fd)) }); e != nil {
		return p, e
	}
	return p, err
}
