package dns01

import (
	"syscall"
	"time"
)

// Timeouts of the end of a child.
const (
	endLimit  = 2*time.Minute + 15*time.Second // from the end of its input: it gives itself 2 minutes
	termGrace = time.Second                    // from SIGTERM to SIGKILL
)

// end closes the child's input, so that it cleans up and exits. It is stopped if
// it takes too long.
func (k *child) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended {
		return
	}
	k.ended = true
	k.in.Close()
	if !k.exited {
		k.killTimer = time.AfterFunc(k.bound, k.stop)
	}
}

// stop sends SIGTERM, for providers that handle it, and then SIGKILL.
func (k *child) stop() {
	k.signal(syscall.SIGTERM)
	time.AfterFunc(termGrace, k.kill)
}

func (k *child) kill() { k.signal(syscall.SIGKILL) }

// signal signals the child and the programs that its provider may have started.
func (k *child) signal(sig syscall.Signal) {
	select {
	case <-k.gone:
	default:
		k.cmd.Signal(sig)
	}
}

// abandon stops a child unless it has sent that it is ending: it is then cleaning up,
// within a time limit of its own. No other child is started to remove the records
// of one that was stopped, since that would outlive this process as well.
func (k *child) abandon() {
	k.mu.Lock()
	k.abandoned = true
	k.mu.Unlock()
	if !k.isExiting() {
		k.stop()
	}
}

// isExiting reports whether the child has sent that it is ending.
func (k *child) isExiting() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.exiting
}

// isAbandoned reports whether no other child may take over.
func (k *child) isAbandoned() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.abandoned
}
