package responder

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"keypaird/renew/testutil"
)

func TestMain(m *testing.M) { os.Exit(testutil.Run(m)) }

func TestListenOnBothFamilies(t *testing.T) {
	var ls []net.Listener
	for range 20 { // the port that is free for one family may be taken for the other
		var err error
		if ls, err = Listen(t.Context(), ":0"); err == nil {
			break
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatal(err)
		}
	}
	defer closeAll(ls)
	families := 1
	if l, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		l.Close()
		families = 2
	}
	if len(ls) != families {
		t.Fatalf("%d listeners on a machine with %d families", len(ls), families)
	}
	_, port, _ := net.SplitHostPort(ls[0].Addr().String())
	for _, host := range []string{"127.0.0.1", "::1"}[:families] {
		c, err := net.Dial("tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Error(err)
			continue
		}
		c.Close()
	}
}

// If one family of a port is in use, the other is closed too.
func TestOneFamilyIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp6", "[::]:0")
	if err != nil {
		t.Skip("this machine has no IPv6, so there is no second family to be taken")
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	_, err = Listen(t.Context(), ":"+port)
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("error = %v, want the address in use", err)
	}
	l, err := net.Listen("tcp4", "0.0.0.0:"+port)
	if err != nil {
		t.Fatalf("the other family is still held: %v", err)
	}
	l.Close()
}

func TestListenMistakes(t *testing.T) {
	for _, tt := range []struct{ addr, want string }{
		{"80", "missing port"}, {"127.0.0.1:http-x", "127.0.0.1:http-x"}, {"192.0.2.1:0", "192.0.2.1:0"}, {"fd:http", "no socket of that name"},
	} {
		if ls, err := Listen(t.Context(), tt.addr); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Listen(%q) = %v, %v; want %q", tt.addr, ls, err, tt.want)
		}
	}
}

func TestMayBeHeld(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{syscall.EADDRINUSE, true}, {syscall.EACCES, true}, {fmt.Errorf("x: %w", ErrNoSocket), true}, {errors.New("missing port"), false},
	} {
		if got := mayBeHeld(tt.err); got != tt.want {
			t.Errorf("mayBeHeld(%v) = %v", tt.err, got)
		}
	}
}
