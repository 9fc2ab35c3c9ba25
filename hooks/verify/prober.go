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

// Limits for one run, however many endpoints a domain names.
const (
	maxProbes    = 16              // at a time
	maxLookups   = 8               // of domains at a time
	domainLimit  = 3 * time.Minute // for one domain
	maxEndpoints = 500
)

// A prober probes each endpoint once, however many rows need it, with one
// connection to an address at a time: mail servers refuse several.
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
	unreachable error // the error of the first connection
}

func newProber() *prober {
	return &prober{slots: make(chan struct{}, maxProbes), seen: map[string]*cachedResult{}, hosts: map[string]*hostPort{}}
}

var errTooMany = errors.New("not probed: there are too many endpoints")

// probe returns the result of a probe, which runs once.
func (r *prober) probe(ctx context.Context, p probe.Probe) (probe.Result, error) {
	return r.once(ctx, p, func(p probe.Probe) (probe.Result, error) { return p.Run(ctx) })
}

// otherKey returns the result of Probe.OtherKey, which runs once.
func (r *prober) otherKey(ctx context.Context, p probe.Probe, s probe.Result) (probe.Result, error) {
	p.KeyType = s.Chain[0].PublicKeyAlgorithm // in the key of the result; not used
	return r.once(ctx, p, func(p probe.Probe) (probe.Result, error) { return p.OtherKey(ctx, s) })
}

func (r *prober) once(ctx context.Context, p probe.Probe, run func(probe.Probe) (probe.Result, error)) (probe.Result, error) {
	key := fmt.Sprintf("%s %s %q %q %q %v", p.Endpoint, p.Addr, p.SNI, p.To, p.ALPN, p.KeyType)
	r.mu.Lock()
	s, known := r.seen[key]
	if !known && len(r.seen) >= maxEndpoints {
		r.mu.Unlock()
		return probe.Result{}, errTooMany
	}
	if !known {
		s = &cachedResult{}
		r.seen[key] = s
	}
	at := netip.AddrPortFrom(p.Addr, p.Endpoint.Port).String()
	d := r.hosts[at]
	if d == nil {
		d = &hostPort{}
		r.hosts[at] = d
	}
	r.mu.Unlock()
	s.once.Do(func() { s.Result, s.err = r.dial(ctx, d, func() (probe.Result, error) { return run(p) }) })
	return s.Result, s.err
}

// dial runs a probe when no other one uses the address.
func (r *prober) dial(ctx context.Context, d *hostPort, run func() (probe.Result, error)) (probe.Result, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.unreachable != nil {
		return probe.Result{}, d.unreachable
	}
	s, err := r.slot(ctx, run)
	var v *probe.Error
	if errors.As(err, &v) && v.Stage == probe.Connecting && ctx.Err() == nil {
		d.unreachable = err
	}
	return s, err
}

// again runs a probe, also if there is a result already.
func (r *prober) again(ctx context.Context, p probe.Probe) (probe.Result, error) {
	return r.slot(ctx, func() (probe.Result, error) { return p.Run(ctx) })
}

// slot runs a probe when few enough others run.
func (r *prober) slot(ctx context.Context, run func() (probe.Result, error)) (probe.Result, error) {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
		return run()
	case <-ctx.Done():
		return probe.Result{}, context.Cause(ctx)
	}
}

// A server that has just reloaded may have an old worker that still accepts
// connections: where a wrong pair is served, the probe is repeated for this long.
const (
	retryFor   = time.Second
	firstPause = 20 * time.Millisecond
)

// retry calls try until it is done or retryFor has passed.
func retry(ctx context.Context, try func() (done bool)) {
	began := time.Now()
	for pause := firstPause; !try() && time.Since(began)+pause <= retryFor; pause *= 2 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}
