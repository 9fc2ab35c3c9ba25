package unixsocket

import "golang.org/x/sys/unix"

// peerOf reads struct sockpeercred: uid, gid and pid.
func peerOf(fd int) (Peer, error) { return readPeer(fd, unix.SOL_SOCKET, unix.SO_PEERCRED, 0) }
