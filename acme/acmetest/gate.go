package acmetest

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/letsencrypt/pebble/v2/core"
	"github.com/letsencrypt/pebble/v2/db"
)

// A gate lets requests into Pebble in an order without deadlocks.
//
// Pebble 2.10.1 deadlocks under load, in two ways. A request for an order while its
// certificate is being signed takes the order's read lock twice, and the signer waits
// for the write lock in between. And a request for an authorization holds that one's
// lock while it waits for the store's, and a new order does the reverse. So the gate
// lets one request at a time read an order, none while it is being signed and stored,
// and none read an authorization while an order is made or read. No answer is changed;
// a client sees an order as "processing" once, in the answer to its own finalize
// request.
type gate struct {
	next   http.Handler
	db     *db.MemoryStore
	authz  sync.RWMutex // written to look at an authorization, read for orders
	orders sync.Map     // order id to *sync.Mutex
}

// maxBody bounds a request, which the gate reads before it takes a lock.
const maxBody = 1 << 20

// maxSigning bounds how long the gate waits for an order to be signed.
const maxSigning = 2 * time.Second

func newGate(next http.Handler, store *db.MemoryStore) *gate {
	return &gate{next: next, db: store}
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	switch path := r.URL.Path; {
	case strings.HasPrefix(path, PathAuthz):
		g.authz.Lock()
		defer g.authz.Unlock()
	case strings.HasPrefix(path, PathOrder), strings.HasPrefix(path, PathFinalize):
		id := path[strings.LastIndexByte(path, '/')+1:]
		mu, _ := g.orders.LoadOrStore(id, new(sync.Mutex))
		mu.(*sync.Mutex).Lock()
		defer mu.(*sync.Mutex).Unlock()
		g.signed(r.Context(), id)
		fallthrough
	case path == PathNewOrder, strings.HasPrefix(path, PathOrders):
		g.authz.RLock()
		defer g.authz.RUnlock()
	}
	g.next.ServeHTTP(w, r)
}

// signed waits until no certificate is being signed for the order.
func (g *gate) signed(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, maxSigning)
	defer cancel()
	for g.signing(id) && wait(ctx, 200*time.Microsecond) {
	}
}

func (g *gate) signing(id string) bool {
	o := g.db.GetOrderByID(id)
	if o == nil {
		return false
	}
	o.RLock()
	began, cert, failed, replaces := o.BeganProcessing, o.CertificateObject, o.Error != nil, o.Replaces
	o.RUnlock()
	return began && !failed && (cert == nil || !g.entered(cert.ID, replaces))
}

// entered reports whether a certificate is found by its serial number, and the one that
// it replaces is marked as replaced. Pebble does that after it has answered the client,
// and reads the mark without a lock.
func (g *gate) entered(serial, replaces string) bool {
	if _, err := g.db.GetOrderByIssuedSerial(serial); err != nil {
		return false
	}
	_, b64, _ := strings.Cut(replaces, ".")
	of, err := base64.RawURLEncoding.DecodeString(b64)
	if err != nil || len(of) == 0 {
		return true
	}
	id, err := core.NewCertID(of, []byte{})
	if err != nil {
		return true
	}
	o, err := g.db.GetOrderByIssuedSerial(id.SerialHex())
	if err != nil {
		return true
	}
	o.RLock()
	defer o.RUnlock()
	return o.IsReplaced
}

// wait waits for d and reports whether ctx did not end before.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
