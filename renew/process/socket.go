package process

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// SocketPair returns a connection and the descriptor of its other end.
func SocketPair() (*net.UnixConn, *os.File, error) {
	syscall.ForkLock.RLock() // not every system can open them closed to programs
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, err
	}
	conn, err := UnixConn(os.NewFile(uintptr(fds[0]), "socket"))
	end := os.NewFile(uintptr(fds[1]), "socket")
	if err != nil {
		end.Close()
		return nil, nil, err
	}
	return conn, end, nil
}

// UnixConn makes a connection of a socket, and closes the file.
func UnixConn(f *os.File) (*net.UnixConn, error) {
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		conn.Close()
		return nil, errors.New("not a unix socket")
	}
	return unix, nil
}
