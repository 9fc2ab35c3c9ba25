package servers

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"
)

// newAddress returns an address 127.x.y.z that no other test has, for as long
// as the test lasts: all ports of it are free, and nobody takes one between a
// look and its use. Few of these servers can be given port 0, and some listen
// in five places. (Whoever listens on 0.0.0.0 gets in the way all the same, so
// the ports below are unusual ones, and below those that the system gives out.)
func newAddress(t *testing.T) string {
	t.Helper()
	for {
		address := fmt.Sprintf("127.%d.%d.%d", 2+rand.IntN(250), rand.IntN(256), 2+rand.IntN(250))
		held, err := net.Listen("tcp", address+":1")
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { held.Close() }) // after the server has ended: cleanups run last to first
		return address
	}
}
