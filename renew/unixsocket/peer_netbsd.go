package unixsocket

// peerOf reads struct unpcbid of unix(4): pid, uid and gid.
func peerOf(fd int) (Peer, error) {
	const local, peerEID = 0, 3 // SOL_LOCAL, LOCAL_PEEREID
	return readPeer(fd, local, peerEID, 4)
}
