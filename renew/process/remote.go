package process

import (
	"encoding/json"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"keypaird/renew/problem"
)

// A Runner is the connection to the runner.
type Runner struct{ conn *net.UnixConn }

// runner starts the programs of this process; nil: it starts them itself.
var runner atomic.Pointer[Runner]

// Use makes r start all programs from now on.
func Use(r *Runner) { runner.Store(r) }

// Pair returns a connection to a runner, and the descriptor that the runner gets as its end.
func Pair() (*Runner, *os.File, error) {
	conn, end, err := SocketPair()
	if err != nil {
		return nil, nil, err
	}
	return &Runner{conn}, end, nil
}

// Open returns the connection behind a descriptor that was passed to this process.
func Open(fd uintptr) (*Runner, error) {
	conn, err := UnixConn(os.NewFile(fd, "runner"))
	if err != nil {
		return nil, err
	}
	return &Runner{conn}, nil
}

// Closed returns when the other end has gone.
func (r *Runner) Closed() { _, _ = r.conn.Read(make([]byte, 1)) }

// Close ends the connection.
func (r *Runner) Close() { r.conn.Close() }

// Notify has the runner send a text to the service manager.
func (r *Runner) Notify(text string) error { return r.say(Request{Notify: text}) }

// Ready says that this process handles signals.
func (r *Runner) Ready() error { return r.say(Request{Ready: true}) }

func (r *Runner) say(req Request) error {
	p, err := r.request(req, nil)
	if err == nil {
		p.conn.Close()
	}
	return err
}

// A message of caller and runner is about one program.
type message struct {
	// From the caller.
	Signal syscall.Signal `json:",omitempty"`
	End    time.Duration  `json:",omitempty"` // the grace of endGroup

	// From the runner. The first answers the request.
	Pid    int           `json:",omitempty"` // of the process; -1: what was asked for is done
	Errno  syscall.Errno `json:",omitempty"` // why not
	Error  string        `json:",omitempty"` // why not, if it is no Errno
	Remedy string        `json:",omitempty"`
	Exited bool          `json:",omitempty"`
	Status uint32        `json:",omitempty"` // with Exited
	Ended  bool          `json:",omitempty"` // endGroup has returned
}

var errNoRunner = problem.New("the process that starts programs has ended", "start keypaird again; if it happens again, report it")

// remote is a process that the runner has started.
type remote struct {
	number int
	conn   *net.UnixConn
	out    *json.Encoder
	in     *json.Decoder
	exited chan struct{}
	ended  chan struct{} // closed when the process has ended, and endGroup

	mu      sync.Mutex
	status  syscall.WaitStatus
	err     error
	waiting bool // exited is not closed
	ending  bool // endGroup was called, and ended is not closed
}

// start has the runner start a program.
func (r *Runner) start(req Request, files []*os.File) (running, error) {
	p, err := r.request(req, files)
	if err != nil {
		return nil, err
	}
	p.waiting = true
	go p.receive()
	return p, nil
}

// request sends a request and waits for the first answer.
func (r *Runner) request(req Request, files []*os.File) (*remote, error) {
	conn, end, err := SocketPair()
	if err != nil {
		return nil, err
	}
	defer end.Close()
	p := &remote{conn: conn, out: json.NewEncoder(conn), in: json.NewDecoder(conn), exited: make(chan struct{}), ended: make(chan struct{})}
	fds := []int{int(end.Fd())}
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	var answer message
	_, _, err = r.conn.WriteMsgUnix([]byte{0}, unix.UnixRights(fds...), nil)
	end.Close() // else its reader would wait for us
	if err == nil {
		err = p.out.Encode(req)
	}
	if err == nil {
		err = p.in.Decode(&answer)
	}
	switch {
	case err != nil:
		err = errNoRunner
	case answer.Errno != 0:
		err = answer.Errno
	case answer.Pid == 0:
		err = problem.New(answer.Error, answer.Remedy)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	p.number = answer.Pid
	return p, nil
}

// receive reads what the runner says until nothing more is to come.
func (p *remote) receive() {
	defer p.conn.Close()
	defer close(p.ended)
	for done := false; !done; {
		var m message
		err := p.in.Decode(&m)
		p.mu.Lock()
		if err != nil && p.waiting {
			p.err = errNoRunner
		}
		if p.waiting && (m.Exited || err != nil) {
			p.status, p.waiting = syscall.WaitStatus(m.Status), false
			close(p.exited)
		}
		p.ending = p.ending && !m.Ended
		done = err != nil || !p.waiting && !p.ending
		p.mu.Unlock()
	}
}

func (p *remote) wait() (syscall.WaitStatus, error) {
	<-p.exited
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status, p.err
}

// send sends a message about a process that has not ended.
func (p *remote) send(m message) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.waiting {
		return false
	}
	p.ending = p.ending || m.End > 0
	return p.out.Encode(m) == nil
}

func (p *remote) pid() int { return p.number }

func (p *remote) signal(sig syscall.Signal) { p.send(message{Signal: sig}) }

func (p *remote) endGroup(grace time.Duration) {
	if p.send(message{End: grace}) {
		<-p.ended
	}
}
