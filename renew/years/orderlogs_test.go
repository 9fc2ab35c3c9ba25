package years

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"keypaird/acme/orderlog"
	"keypaird/renew"
)

// orderLogs are the order logs of all CAs, kept in files as keypaird keeps them. They
// say what limits an issuer, which reserves with them.
type orderLogs struct {
	dir   string
	clock func() time.Time // nil means time.Now

	mu     sync.Mutex
	byCA   map[string]*orderlog.Log
	orders int
}

func (l *orderLogs) of(ca string) *orderlog.Log {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byCA[ca] == nil {
		if l.byCA == nil {
			l.byCA = map[string]*orderlog.Log{}
		}
		l.byCA[ca] = orderlog.New(orderlog.Options{CA: ca, Dir: filepath.Join(l.dir, ca), Clock: l.clock})
	}
	return l.byCA[ca]
}

func (l *orderLogs) limit(ca string, names []string, current *x509.Certificate) renew.Limit {
	if e, ok := errors.AsType[*orderlog.RateLimitError](l.of(ca).Limit(orderlog.Request{Names: names, Current: current})); ok {
		return renew.Limit{Until: e.Next, Err: e}
	}
	return renew.Limit{}
}

// reserve does what package acme does before each request.
func (l *orderLogs) reserve(ctx context.Context, ca string, names []string, o renew.Order, kind orderlog.Kind) error {
	r := orderlog.Request{Names: names, Force: o.Forced}
	if !o.Foreign {
		r.Current = o.Have
	}
	if kind == orderlog.Finalize {
		l.mu.Lock()
		l.orders++
		r.Order = fmt.Sprintf("https://ca.test/order/%d", l.orders)
		l.mu.Unlock()
	}
	if err := l.of(ca).Reserve(ctx, kind, r); err != nil {
		return &renew.OrderError{Err: err}
	}
	return nil
}
