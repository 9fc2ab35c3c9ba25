package child

import (
	"context"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"keypaird/renew/fleet/engine"
)

// A history notices that an engine was restored from a backup or replaced by another: a
// linearizable answer has an older revision than one before it, or comes from another
// cluster. Those who follow must read again then.
type history struct {
	mu      sync.Mutex
	cluster uint64
	newest  int64
	follows map[*following]bool
}

// A following is one follow.
type following struct {
	prefix string
	cancel context.CancelCauseFunc
}

// before returns what is known before a request is sent.
func (h *history) before() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.newest
}

// linearizable takes the header of a linearizable answer to a request that was sent when
// before was the newest revision.
func (h *history) linearizable(header *pb.ResponseHeader, before int64) {
	if header == nil {
		return
	}
	h.mu.Lock()
	replaced := h.cluster != 0 && header.ClusterId != h.cluster
	if replaced || header.Revision < before && h.newest >= before {
		h.newest = 0
		for f := range h.follows {
			f.cancel(engine.ErrGap)
		}
	}
	h.cluster = header.ClusterId
	h.newest = max(h.newest, header.Revision)
	h.mu.Unlock()
}

// seen takes the revision of a change.
func (h *history) seen(revision int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.newest = max(h.newest, revision)
}

// follow adds one who follows; the context ends with its cause when he must read again.
func (h *history) follow(ctx context.Context, prefix string) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	f := &following{prefix, cancel}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.follows == nil {
		h.follows = map[*following]bool{}
	}
	h.follows[f] = true
	return ctx, func() {
		cancel(nil)
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.follows, f)
	}
}

// following returns a prefix that somebody follows.
func (h *history) following() (prefix string, any bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for f := range h.follows {
		return f.prefix, true
	}
	return "", false
}

// end ends all follows.
func (h *history) end(cause error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for f := range h.follows {
		f.cancel(cause)
	}
}
