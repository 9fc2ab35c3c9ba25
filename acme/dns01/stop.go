package dns01

import (
	"syscall"
	"time"
)

// Bounds on the end of a child.
const (
	endLimit  = 2*time.Minute + 15*time.Second // from the end of its input: it gives itself 2 minutes
	termGrace = time.Second                    // from SIGTERM to SIGKILL
)

// end closes the child's input: it cleans up and exits. It is stopped if it
// takes too long.
func (k *child) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended {
		return
	}
	k.ended = true
	k.in.Close()
	if !k.over {
		k.dying = time.AfterFunc(k.bound, k.stop)
	}
}

// stop ends a child that does not heed the end of its input. The SIGTERM is for
// a provider that waits for one; ours has nothing to add to its clean-up.
func (k *child) stop() {
	k.signal(syscall.SIGTERM)
	time.AfterFunc(termGrace, k.kill)
}

func (k *child) kill() { k.signal(syscall.SIGKILL) }

// signal reaches the whole group: a provider may have started programs.
func (k *child) signal(sig syscall.Signal) {
	select {
	case <-k.gone:
	default:
		_ = syscall.Kill(-k.cmd.Process.Pid, sig)
	}
}

// forsake stops a child unless it has said that it is ending: that one cleans
// up, and bounds itself. What a child leaves behind that is stopped here is not
// tidied by another one, which would outlive us as well.
func (k *child) forsake() {
	k.mu.Lock()
	k.alone = true
	k.mu.Unlock()
	if !k.parting() {
		k.stop()
	}
}

// parting says whether the child has said that it is ending.
func (k *child) parting() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.parts
}

// last says whether the child is the last one.
func (k *child) last() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.alone
}
