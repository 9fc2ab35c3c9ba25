package listener

import (
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"keypaird/renew/problem"
)

const (
	startTimeout = 10 * time.Second // for the listener to serve what it is passed
	endTimeout   = time.Second      // for it to stop
	firstRestart = 100 * time.Millisecond
	lastRestart  = 10 * time.Second
	maxFiles     = 2048
	maxStderr    = 4 << 10
)

// A Process is the listener of this program. It runs while it serves something.
type Process struct {
	Log *slog.Logger // required

	mu       sync.Mutex
	services []*service
	child    *child        // nil: none runs
	ended    chan struct{} // closed when nothing is served any more
	delay    time.Duration // before the next restart
}

// Serve has the listener answer at sockets until the service is closed; answer is what it
// asks. The sockets stay open. An error says that there is no listener.
func (p *Process) Serve(s Service, sockets []net.Listener, answer func(question string) []byte) (io.Closer, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	v := &service{process: p, text: text, sockets: sockets, answer: answer, pace: pace{interval: 200 * time.Microsecond, burst: 1000}}
	if s.Kind == Page {
		v.pace = pace{interval: 50 * time.Millisecond, burst: 20}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for range 5 { // one may have just died, and others may die at their start
		if err = p.start(); err == nil {
			err = p.child.serve(v)
		}
		if err == nil {
			p.services = append(p.services, v)
			return v, nil
		}
	}
	return nil, err
}

// Challenges has the listener answer challenges of a kind.
func (p *Process) Challenges(kind Kind) func([]net.Listener, func(string) (string, error)) (io.Closer, error) {
	return func(sockets []net.Listener, response func(string) (string, error)) (io.Closer, error) {
		return p.Serve(Service{Kind: kind}, sockets, func(question string) []byte {
			text, err := response(question)
			if err != nil {
				return nil
			}
			return []byte(text)
		})
	}
}

// Warm starts the listener for a Serve that comes soon, which reports errors.
func (p *Process) Warm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.start()
}

// Rest ends the listener if it serves nothing.
func (p *Process) Rest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rest()
}

func (p *Process) rest() {
	if len(p.services) > 0 || p.ended == nil {
		return
	}
	close(p.ended)
	c := p.child
	p.child, p.ended = nil, nil
	if c != nil {
		go c.end() // it serves nothing, and is not waited for
	}
}

// start starts a listener, which serves what one before it did, unless one runs.
func (p *Process) start() error {
	if c := p.child; c != nil && !c.hasExited() {
		return nil
	} else if c != nil {
		p.Log.Warn("listener exited", "err", c.err())
	}
	c, err := launchChild()
	if err != nil {
		return err
	}
	for _, v := range p.services {
		if err := c.serve(v); err != nil {
			return err
		}
	}
	p.child = c
	if p.ended == nil {
		p.ended = make(chan struct{})
	}
	go p.watch(c, p.ended)
	return nil
}

// watch starts another listener when one has died: at once, and if they die one after the
// other, later each time.
func (p *Process) watch(c *child, ended <-chan struct{}) {
	<-c.exited
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.child != c { // it was ended
		return
	}
	p.child = nil
	p.Log.Warn("listener exited", "err", c.err())
	if c.lived > lastRestart {
		p.delay = 0
	}
	for p.child == nil && len(p.services) > 0 {
		delay := p.delay
		p.delay = min(max(firstRestart, 2*delay), lastRestart)
		p.mu.Unlock()
		select {
		case <-time.After(delay):
		case <-ended:
		}
		p.mu.Lock()
		if len(p.services) == 0 {
			return
		}
		if err := p.start(); err != nil {
			p.Log.Error("listener not started", "err", err, "remedy", problem.Remedy(err))
		}
	}
}

// A service is something served at sockets.
type service struct {
	process *Process
	text    []byte // of its Service
	sockets []net.Listener
	answer  func(string) []byte
	pace    pace

	// Of the running child:
	channel *net.UnixConn
	gone    chan struct{} // closed when the child has ended the service
}

// Close has the listener stop, and waits until it has closed the sockets.
func (v *service) Close() error {
	p := v.process
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.services, v)
	if i < 0 {
		return nil
	}
	p.services = slices.Delete(p.services, i, i+1)
	_ = v.channel.CloseWrite()
	select {
	case <-v.gone:
	case <-time.After(endTimeout):
		p.Log.Warn("listener hung and was killed")
		p.child.kill()
	}
	v.channel.Close()
	p.rest()
	return nil
}

// converse answers questions until the channel ends.
func (v *service) converse(channel net.Conn, gone chan<- struct{}) {
	questions, ended := make(chan string), make(chan struct{})
	go func() { // answer may wait for what waits for Close: the end of the channel is seen meanwhile
		defer channel.Close()
		for q := range questions {
			v.pace.wait(ended)
			text := v.answer(q)
			_ = channel.SetWriteDeadline(time.Now().Add(startTimeout))
			if writeFrame(channel, text) != nil {
				channel.Close()
			}
		}
	}()
	defer close(gone)
	defer close(ended)
	defer close(questions)
	for {
		q, err := readQuestion(channel)
		if err != nil {
			return
		}
		questions <- q
	}
}
