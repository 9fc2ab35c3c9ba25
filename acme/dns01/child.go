package dns01

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"keypaird/renew/problem"
	"keypaird/renew/process"
	"keypaird/renew/textfmt"
)

// A request is a line to the child: its protocol is described in
// keypaird/cmd/keypaird-dns/child.
type request struct {
	Op        string   `json:"op"`
	Provider  string   `json:"provider,omitempty"`
	Resolvers []string `json:"resolvers,omitempty"`
	Domain    string   `json:"domain,omitempty"`
	Token     string   `json:"token,omitempty"`
	KeyAuth   string   `json:"key_auth,omitempty"`
}

type answer struct {
	FQDN         string `json:"fqdn"`
	Value        string `json:"value"`
	KeepsSeveral bool   `json:"keeps_several"`
	Error        string `json:"error"`
	Remedy       string `json:"remedy"`
	Confinement  string `json:"confinement"`
	Ending       bool   `json:"ending"` // answers no request
}

const maxLine = 64 << 10

// A call is a request and its result.
type call struct {
	request
	limit  time.Duration // from when the child begins with it
	then   func(*call)   // called when done; may be nil; must not block
	done   chan struct{} // closed when answer and err are set
	answer answer
	err    error // what the child answered, or how it exited

	declined bool // err is an answer of the child
}

// refused reports whether the child answered with an error.
func (c *call) refused() bool {
	select {
	case <-c.done:
		return c.declined
	default:
		return false
	}
}

func (c *call) finish(a answer, err error) {
	c.answer, c.err = a, err
	close(c.done)
	if c.then != nil {
		c.then(c)
	}
}

// decline finishes a call with an error that is not the child's exit.
func (c *call) decline(a answer, err error) {
	c.declined = true
	c.finish(a, err)
}

// A child is one run of keypaird-dns.
type child struct {
	cmd    *process.Cmd
	in     *os.File // its standard input
	stderr *stderrTail
	opened *call
	bound  time.Duration // from the end of its input to its exit
	users  int           // owned by Account.mu
	stuck  chan struct{} // closed when a request takes too long
	gone   chan struct{} // closed when the process has exited
	err    error         // how it exited, nil: without error; set before gone is closed

	mu        sync.Mutex
	queue     []*call     // sent, not yet answered, oldest first
	watch     *time.Timer // timeout of the oldest call
	ended     bool        // its input is closed
	exiting   bool        // it has sent that it is ending
	abandoned bool        // no other child may be started in its place
	exited    bool        // or about to be closed as gone
	killTimer *time.Timer // stops it if it does not exit in time
}

// startProcess starts a child and a goroutine that reads its answers until it has
// exited and then calls exited.
func startProcess(cmd *process.Cmd, tail *stderrTail, bound time.Duration, exited func(*child)) (*child, error) {
	childIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer childIn.Close()
	out, childOut, err := os.Pipe()
	if err != nil {
		in.Close()
		return nil, err
	}
	defer childOut.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = childIn, childOut, tail
	cmd.WaitDelay = 5 * time.Second // for a grandchild that holds standard error
	cmd.Group = true                // Ctrl-C must not reach the child, which has to clean up
	err = cmd.Start()
	for _, f := range cmd.Files {
		f.Close()
	}
	if err != nil {
		in.Close()
		out.Close()
		return nil, err
	}
	k := &child{cmd: cmd, in: in, stderr: tail, bound: bound, stuck: make(chan struct{}), gone: make(chan struct{})}
	go func() {
		k.read(out)
		exited(k)
	}()
	return k, nil
}

// usable reports whether the child takes new requests.
func (k *child) usable() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-k.stuck:
		return false
	default:
		return !k.ended && !k.exiting && !k.exited
	}
}

// post sends a request. Answers come in order; then, if not nil, is called when the
// call is done. A call that the child does not answer is done when it has exited: by
// its exit status records are left or not.
func (k *child) post(r request, limit time.Duration, then func(*call)) *call {
	c := &call{request: r, limit: limit, then: then, done: make(chan struct{})}
	line, err := json.Marshal(r)
	if err == nil && len(line) >= maxLine {
		err = fmt.Errorf("request of %d bytes is too long", len(line))
	}
	if err != nil {
		c.decline(answer{}, err)
		return c
	}
	k.mu.Lock()
	exited := k.exited
	if !exited {
		k.send(c, append(line, '\n'))
	}
	k.mu.Unlock()
	if exited {
		c.finish(answer{}, cmp.Or(k.err, errExited))
	}
	return c
}

// send queues a request and writes it, unless the input is closed. The child reads
// all the time, so a write that blocks means that it hangs. mu must be held.
func (k *child) send(c *call, line []byte) {
	k.queue = append(k.queue, c)
	if k.ended {
		return
	}
	if len(k.queue) == 1 {
		k.restartTimeout()
	}
	err := k.in.SetWriteDeadline(time.Now().Add(5 * time.Second))
	if err == nil {
		_, err = k.in.Write(line)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		k.timeout()
	}
}

// errExited is the error of a request that was not answered before a child exited
// without error.
var errExited = errors.New("keypaird-dns exited")

// restartTimeout starts the timeout of the oldest request. mu must be held.
func (k *child) restartTimeout() {
	if k.watch != nil {
		k.watch.Stop()
	}
	if len(k.queue) == 0 {
		return
	}
	head := k.queue[0]
	k.watch = time.AfterFunc(head.limit, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if len(k.queue) > 0 && k.queue[0] == head {
			k.timeout()
		}
	})
}

// timeout makes every waiting user of the child return. mu must be held.
func (k *child) timeout() {
	select {
	case <-k.stuck:
	default:
		close(k.stuck)
	}
}

// read delivers answers until the child has exited.
func (k *child) read(out io.ReadCloser) {
	defer out.Close()
	lines := bufio.NewScanner(out)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	var err error
	for err == nil && lines.Scan() {
		err = k.deliver(lines.Bytes())
	}
	if err = cmp.Or(err, lines.Err()); err != nil {
		k.kill()
	}
	reason := k.exitReason(err, k.cmd.Wait())
	k.mu.Lock()
	k.err, k.exited = reason, true
	unanswered := k.queue
	k.queue = nil
	k.restartTimeout()
	if k.killTimer != nil {
		k.killTimer.Stop()
	}
	k.mu.Unlock()
	close(k.gone)
	for _, c := range unanswered {
		c.finish(answer{}, cmp.Or(reason, errExited))
	}
	k.end()
}

func (k *child) deliver(line []byte) error {
	var a answer
	if err := json.Unmarshal(line, &a); err != nil {
		return fmt.Errorf("not an answer: %q", textfmt.Cut(k.stderr.clean(string(line)), 80))
	}
	k.mu.Lock()
	if a.Ending {
		k.exiting = true
		k.mu.Unlock()
		return nil
	}
	if len(k.queue) == 0 {
		k.mu.Unlock()
		return fmt.Errorf("unexpected answer: %q", textfmt.Cut(k.stderr.clean(string(line)), 80))
	}
	c := k.queue[0]
	k.queue = k.queue[1:]
	k.restartTimeout()
	k.mu.Unlock()
	if a.Error != "" {
		c.decline(a, problem.New(k.stderr.clean(a.Error), k.stderr.clean(a.Remedy)))
	} else {
		c.finish(a, nil)
	}
	return nil
}
