//go:build !(linux || darwin || freebsd || openbsd || netbsd)

package unixsocket

import "errors"

func peerOf(int) (Peer, error) { return Peer{}, errors.ErrUnsupported }
