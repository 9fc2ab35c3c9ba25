//go:build darwin || freebsd

package unixsocket

import "golang.org/x/sys/unix"

func peerOf(fd int) (Peer, error) {
	const local = 0 // SOL_LOCAL of unix(4)
	cred, err := unix.GetsockoptXucred(fd, local, unix.LOCAL_PEERCRED)
	if err != nil {
		return Peer{}, err
	}
	p := Peer{int(cred.Uid), -1}
	if cred.Ngroups > 0 {
		p.GID = int(cred.Groups[0])
	}
	return p, nil
}
