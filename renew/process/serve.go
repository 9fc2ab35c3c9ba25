package process

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"keypaird/renew/problem"
)

// A Server is the runner's side.
type Server struct {
	// Make makes the command that a request asks for, or says why it may not run.
	Make func(Request) (*exec.Cmd, error)
	// Notify sends a text to the service manager; nil: nothing is sent.
	Notify func(text string) error
	// Ready is called when the caller says that it handles signals; may be nil.
	Ready func()
}

// Limits of what a caller sends about one program, and of its descriptors.
const (
	maxRequest = 4 << 20
	maxFiles   = 64
)

// Serve starts programs for the caller at the other end of r. It returns when the caller
// has ended, and its programs have.
func (s *Server) Serve(r *Runner) {
	var sessions sync.WaitGroup
	defer sessions.Wait()
	for {
		files, ok := r.receive()
		if !ok {
			return
		}
		if len(files) > 0 {
			sessions.Go(func() { s.session(files[0], files[1:]) })
		}
	}
}

// receive returns the descriptors that come with the next byte.
func (r *Runner) receive() (files []*os.File, ok bool) {
	rights := make([]byte, unix.CmsgSpace(4*maxFiles))
	n, length, _, _, err := r.conn.ReadMsgUnix(make([]byte, 1), rights)
	if err != nil || n == 0 {
		return nil, false
	}
	list, _ := unix.ParseSocketControlMessage(rights[:length])
	for _, m := range list {
		fds, _ := unix.ParseUnixRights(&m)
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "passed"))
		}
	}
	return files, true
}

// session starts one program and follows it to its end.
func (s *Server) session(socket *os.File, files []*os.File) {
	defer closeAll(files)
	conn, err := UnixConn(socket)
	if err != nil {
		return
	}
	defer conn.Close()
	var mu sync.Mutex
	out, in := json.NewEncoder(conn), json.NewDecoder(io.LimitReader(conn, maxRequest))
	say := func(m message) {
		mu.Lock()
		defer mu.Unlock()
		_ = out.Encode(m) // the caller may have ended
	}
	var req Request
	if in.Decode(&req) != nil {
		return
	}
	p, err := s.begin(req, files)
	closeAll(files)
	if err != nil || p == nil {
		say(refusal(err))
		return
	}
	say(message{Pid: p.pid()})
	var work sync.WaitGroup
	defer work.Wait()
	exited := make(chan struct{})
	work.Go(func() {
		status, _ := p.wait()
		close(exited)
		say(message{Exited: true, Status: uint32(status)})
	})
	obey(p, exited, in, say)
}

// begin does what a request asks for. The process is nil if it starts none.
func (s *Server) begin(req Request, files []*os.File) (*local, error) {
	if req.Ready && s.Ready != nil {
		s.Ready()
	}
	if req.Ready {
		return nil, nil
	}
	if req.Notify != "" {
		if s.Notify == nil {
			return nil, nil
		}
		return nil, s.Notify(req.Notify)
	}
	if len(files) < 3 {
		return nil, errors.New("a program needs three descriptors")
	}
	req.Kept = len(files) - 3
	cmd, err := s.Make(req)
	if err != nil {
		return nil, err
	}
	return startLocal(cmd, files, req.Group, req.Child != nil)
}

// refusal returns the answer to a request that started nothing.
func refusal(err error) message {
	var errno syscall.Errno
	switch {
	case err == nil:
		return message{Pid: -1}
	case errors.As(err, &errno):
		return message{Errno: errno}
	}
	return message{Error: err.Error(), Remedy: problem.Remedy(err)}
}

// obey does what the caller says about a process, until the caller has ended or asks no
// more. Once the process has exited, its number may be that of another, or of its group.
func obey(p *local, exited <-chan struct{}, in *json.Decoder, say func(message)) {
	for {
		var m message
		if in.Decode(&m) != nil {
			return
		}
		select {
		case <-exited:
		default:
			if m.End > 0 {
				p.endGroup(m.End)
			} else {
				p.signal(m.Signal)
			}
		}
		if m.End > 0 {
			say(message{Ended: true})
		}
	}
}
