package verify

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"keypaird/hooks/probe"
)

// Bounds on what a domain may make us do.
const (
	maxProbes    = 16              // probes under way at a time
	domainLimit  = 3 * time.Minute // for all of them
	maxEndpoints = 500
)

// A prober probes endpoints, each once however many rows ask for it, and each
// address once at a time: mail servers do not like more.
type prober struct {
	slots chan struct{}

	mu    sync.Mutex
	seen  map[string]*cachedResult
	hosts map[string]*hostPort
}

// A cachedResult is a probe that several rows wait for.
type cachedResult struct {
	once sync.Once
	probe.Result
	err error
}

// A hostPort is an address with its port.
type hostPort struct {
	mu          sync.Mutex
	unreachable error // nobody was reached there
}

func newProber() *prober {
	return &prober{slots: make(chan struct{}, maxProbes), seen: map[string]*cachedResult{}, hosts: map[string]*hostPort{}}
}

// errTooMany is the end of what is done for one command.
var errTooMany = errors.New("not looked at: there are too many endpoints")

// see takes a look, unless it was taken.
func (l *prober) probe(ctx context.Context, look probe.Probe) (probe.Result, error) {
	key := fmt.Sprintf("%s %s %q %q %q", look.Endpoint, look.Addr, look.SNI, look.To, look.ALPN)
	l.mu.Lock()
	s, known := l.seen[key]
	if !known && len(l.seen) >= maxEndpoints {
		l.mu.Unlock()
		return probe.Result{}, errTooMany
	}
	if !known {
		s = &cachedResult{}
		l.seen[key] = s
	}
	at := netip.AddrPortFrom(look.Addr, look.Endpoint.Port).String()
	d := l.hosts[at]
	if d == nil {
		d = &hostPort{}
		l.hosts[at] = d
	}
	l.mu.Unlock()
	s.once.Do(func() { s.Result, s.err = l.dial(ctx, d, look) })
	return s.Result, s.err
}

// dial probes an endpoint when it is its turn.
func (l *prober) dial(ctx context.Context, d *hostPort, look probe.Probe) (probe.Result, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.unreachable != nil {
		return probe.Result{}, d.unreachable
	}
	s, err := l.again(ctx, look)
	var v *probe.Error
	if errors.As(err, &v) && v.Stage == probe.Connecting && ctx.Err() == nil {
		d.unreachable = err
	}
	return s, err
}

// again takes a look whether it was taken or not.
func (l *prober) again(ctx context.Context, look probe.Probe) (probe.Result, error) {
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
		return look.Run(ctx)
	case <-ctx.Done():
		return probe.Result{}, context.Cause(ctx)
	}
}

// A server that has just reloaded may have an old worker that still accepts: a
// wrong pair is looked at again for this long.
const (
	retryFor   = time.Second
	firstPause = 20 * time.Millisecond
)

// retry calls look until it is done or a second has passed.
func retry(ctx context.Context, look func() (done bool)) {
	began := time.Now()
	for pause := firstPause; !look() && time.Since(began)+pause <= retryFor; pause *= 2 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}
