package listener

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"keypaird/renew/process"

	"golang.org/x/sys/unix"
)

// A frame is its length in four bytes, and its bytes. A question has one byte of length.
const maxFrame = 64 << 20

func writeFrame(w io.Writer, data []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...))
	return err
}

func readFrame(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxFrame {
		return nil, errors.New("frame too large")
	}
	data := make([]byte, n)
	_, err := io.ReadFull(r, data)
	return data, err
}

func readQuestion(r io.Reader) (string, error) {
	var data [1 + 255]byte
	if _, err := io.ReadFull(r, data[:1]); err != nil {
		return "", err
	}
	text := data[1 : 1+int(data[0])]
	_, err := io.ReadFull(r, text)
	return string(text), err
}

// An asker asks on a channel, one question at a time.
type asker struct {
	conn    net.Conn
	turn    chan struct{}    // full while one asks
	replies chan []byte      // from the reader of the channel, which closes it at the end
	known   map[string]reply // the last answers; turn guards it
}

type reply struct {
	asked time.Time
	text  []byte
}

const maxKnown = 16 // answers that are kept

var errEnded = errors.New("keypaird has ended the service")

func newAsker(conn net.Conn) *asker {
	return &asker{conn: conn, turn: make(chan struct{}, 1), replies: make(chan []byte), known: map[string]reply{}}
}

// run hands answers on until the channel ends.
func (a *asker) run() {
	defer close(a.replies)
	for {
		text, err := readFrame(a.conn)
		if err != nil {
			return
		}
		a.replies <- text
	}
}

// ask returns the answer to a question that was asked after ask was called. Callers that
// wait at the same time get the same answer.
func (a *asker) ask(ctx context.Context, question string) ([]byte, error) {
	called := time.Now()
	if len(question) > 255 {
		return nil, errors.New("no question")
	}
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if r, ok := a.known[question]; ok && r.asked.After(called) {
		return r.text, nil
	}
	asked := time.Now()
	if _, err := a.conn.Write(append([]byte{byte(len(question))}, question...)); err != nil {
		return nil, err
	}
	text, ok := <-a.replies
	if !ok {
		return nil, errEnded
	}
	if len(a.known) >= maxKnown {
		clear(a.known)
	}
	a.known[question] = reply{asked, text}
	return text, nil
}

// A pace bounds how often something is done: so many times at once, and then one in each
// interval.
type pace struct {
	interval time.Duration
	burst    int
	next     time.Time
}

// wait waits until it may be done again, or until done.
func (p *pace) wait(done <-chan struct{}) {
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(p.interval)
	if ahead := p.next.Sub(now) - time.Duration(p.burst)*p.interval; ahead > 0 {
		timer := time.NewTimer(ahead)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-done:
		}
	}
}

// connOf takes over a descriptor of a channel.
func connOf(fd int) (*net.UnixConn, error) {
	return process.UnixConn(os.NewFile(uintptr(fd), "channel"))
}

// pass sends a byte with descriptors: of a channel, and of sockets.
func pass(to *net.UnixConn, channel *os.File, sockets []net.Listener) error {
	fds := []int{int(channel.Fd())}
	defer func() {
		for _, fd := range fds[1:] {
			unix.Close(fd)
		}
	}()
	for _, l := range sockets {
		s, ok := l.(syscall.Conn)
		if !ok {
			return errors.New("not a socket")
		}
		raw, err := s.SyscallConn()
		if err != nil {
			return err
		}
		fd := -1 // a copy: File would make the socket blocking, for all who have it
		if cerr := raw.Control(func(original uintptr) { fd, err = unix.FcntlInt(original, unix.F_DUPFD_CLOEXEC, 0) }); cerr != nil || err != nil {
			return errors.Join(cerr, err)
		}
		fds = append(fds, fd)
	}
	_, _, err := to.WriteMsgUnix([]byte{byte(len(fds))}, unix.UnixRights(fds...), nil)
	return err
}

const maxSockets = 16 // of a service

// receive returns what pass has sent.
func receive(from *net.UnixConn) (channel *net.UnixConn, sockets []net.Listener, err error) {
	oob, data := make([]byte, unix.CmsgSpace(4*(1+maxSockets))), make([]byte, 1)
	n, oobn, _, _, err := from.ReadMsgUnix(data, oob)
	if err != nil {
		return nil, nil, err
	}
	if n == 0 {
		return nil, nil, io.EOF
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		return nil, nil, errors.Join(err, errors.New("no descriptors"))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return nil, nil, errors.Join(err, errors.New("no descriptors"))
	}
	for _, fd := range fds[1:] {
		f := os.NewFile(uintptr(fd), "socket")
		l, lerr := net.FileListener(f)
		f.Close()
		if lerr != nil {
			return nil, nil, lerr
		}
		sockets = append(sockets, l)
	}
	channel, err = connOf(fds[0])
	return channel, sockets, err
}
