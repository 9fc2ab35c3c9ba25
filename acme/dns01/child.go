package dns01

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"keypaird/renew/textfmt"
)

// The protocol is described in keypaird/cmd/keypaird-dns/child.
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

// A call is a request and what became of it.
type call struct {
	request
	limit  time.Duration // from when the child takes it up
	then   func(*call)   // called when done; may be nil; must not block
	done   chan struct{} // closed when answer and err are set
	answer answer
	err    error // the child's refusal, or its end
}

// refused tells a child that said no from one that said nothing.
func (c *call) refused() bool {
	select {
	case <-c.done:
		var no *refusal
		return errors.As(c.err, &no)
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

// A refusal is an error the child answered.
type refusal struct{ text, remedy string }

func (e *refusal) Error() string  { return e.text }
func (e *refusal) Remedy() string { return e.remedy }

// A child is one run of keypaird-dns.
type child struct {
	cmd    *exec.Cmd
	in     *os.File // its standard input
	words  *lastWords
	opened *call
	bound  time.Duration // from the end of its input to its own
	users  int           // owned by Account.mu
	stuck  chan struct{} // closed when a request takes too long
	gone   chan struct{} // closed when the process has exited
	err    error         // how it ended, nil: in good order; set before gone is closed

	mu    sync.Mutex
	queue []*call     // sent, not yet answered, oldest first
	watch *time.Timer // runs while there is a queue
	ended bool        // its input is closed
	parts bool        // it has said that it is ending
	alone bool        // nobody will come after it
	over  bool        // gone, or about to be
	dying *time.Timer // stops it when it does not end
}

// begin starts the process. Its reader ends with the process: end sees to that,
// and gone tells.
func begin(cmd *exec.Cmd, words *lastWords, bound time.Duration, exited func(*child)) (*child, error) {
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
	cmd.Stdin, cmd.Stdout, cmd.Stderr = childIn, childOut, words
	cmd.WaitDelay = 5 * time.Second // for a grandchild that holds standard error
	cmd.SysProcAttr.Setpgid = true  // Ctrl-C is for us: the child must live to clean up
	if err := cmd.Start(); err != nil {
		in.Close()
		out.Close()
		return nil, err
	}
	k := &child{cmd: cmd, in: in, words: words, bound: bound, stuck: make(chan struct{}), gone: make(chan struct{})}
	go func() {
		k.read(out)
		exited(k)
	}()
	return k, nil
}

// usable says whether the child takes new requests.
func (k *child) usable() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-k.stuck:
		return false
	default:
		return !k.ended && !k.parts && !k.over
	}
}

// post sends a request. Answers come in order; then, if not nil, is called with
// the call when it is done. A child that has ended does not answer, but its
// exit tells whether it left something behind, so the call is done only then.
func (k *child) post(r request, limit time.Duration, then func(*call)) *call {
	c := &call{request: r, limit: limit, then: then, done: make(chan struct{})}
	line, err := json.Marshal(r)
	if err == nil && len(line) >= maxLine {
		err = fmt.Errorf("request of %d bytes is too long", len(line))
	}
	if err != nil {
		c.finish(answer{}, &refusal{text: err.Error()})
		return c
	}
	k.mu.Lock()
	over := k.over
	if !over {
		k.send(c, append(line, '\n'))
	}
	k.mu.Unlock()
	if over {
		c.finish(answer{}, cmp.Or(k.err, errEnded))
	}
	return c
}

// send queues a request and writes it, unless the child is ending. Called with
// mu held. The child reads all the time: a write that blocks means it is frozen.
func (k *child) send(c *call, line []byte) {
	k.queue = append(k.queue, c)
	if k.ended {
		return
	}
	if len(k.queue) == 1 {
		k.arm()
	}
	err := k.in.SetWriteDeadline(time.Now().Add(5 * time.Second))
	if err == nil {
		_, err = k.in.Write(line)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		k.hang()
	}
}

// errEnded is what a request gets that the child did not answer as it ended in
// good order.
var errEnded = errors.New("keypaird-dns ended")

// arm starts the clock of the oldest request. Called with mu held.
func (k *child) arm() {
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
			k.hang()
		}
	})
}

// hang tells those who wait that there is no point. Called with mu held.
func (k *child) hang() {
	select {
	case <-k.stuck:
	default:
		close(k.stuck)
	}
}

// read hands out answers until the child has exited.
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
	how := k.obituary(err, k.cmd.Wait())
	k.mu.Lock()
	k.err, k.over = how, true
	left := k.queue
	k.queue = nil
	k.arm()
	if k.dying != nil {
		k.dying.Stop()
	}
	k.mu.Unlock()
	close(k.gone)
	for _, c := range left {
		c.finish(answer{}, cmp.Or(how, errEnded))
	}
	k.end()
}

func (k *child) deliver(line []byte) error {
	var a answer
	if err := json.Unmarshal(line, &a); err != nil {
		return fmt.Errorf("not an answer: %q", textfmt.Cut(k.words.clean(string(line)), 80))
	}
	k.mu.Lock()
	if a.Ending {
		k.parts = true
		k.mu.Unlock()
		return nil
	}
	if len(k.queue) == 0 {
		k.mu.Unlock()
		return fmt.Errorf("not asked for: %q", textfmt.Cut(k.words.clean(string(line)), 80))
	}
	c := k.queue[0]
	k.queue = k.queue[1:]
	k.arm()
	k.mu.Unlock()
	if a.Error != "" {
		c.finish(a, &refusal{k.words.clean(a.Error), k.words.clean(a.Remedy)})
	} else {
		c.finish(a, nil)
	}
	return nil
}
