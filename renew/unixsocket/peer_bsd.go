//go:build openbsd || netbsd

package unixsocket

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// readPeer reads an option with a structure of three numbers, the uid at the offset and
// the gid behind it. Package unix has no function for these, and one for another
// structure, which is longer.
func readPeer(fd, level, option, offset int) (Peer, error) {
	mreq, err := unix.GetsockoptIPv6Mreq(fd, level, option)
	if err != nil {
		return Peer{}, err
	}
	data := mreq.Multiaddr[offset:]
	return Peer{int(binary.NativeEndian.Uint32(data)), int(binary.NativeEndian.Uint32(data[4:]))}, nil
}
