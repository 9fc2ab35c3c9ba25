package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"keypaird/acme"
	"keypaird/acme/accountfile"
	"keypaird/acme/orderlog"
	"keypaird/renew"
	"keypaird/renew/fleet"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/problem"
	"keypaird/renew/record"
)

// Files are the files of orders that a single machine keeps.
type Files struct {
	Order    func(target, ca string) acme.OrderStore
	Account  func(ca string) accountfile.Files
	OrderLog func(ca string) *orderlog.Log
}

// readTimeout bounds one read that a node makes when it takes the seat.
const readTimeout = 30 * time.Second

// pull takes over what the engine knows into the files, and gives the engine what only the
// files know: it may have been emptied.
func (n *Node) pull(ctx context.Context, t *fleet.Term) error {
	began := time.Now()
	n.mu.Lock()
	n.term, n.err = t, nil // commits are of this term from here on
	n.written, n.records, n.holders = map[string]bool{}, map[string]string{}, map[string]holder{}
	n.mu.Unlock()
	for _, ca := range n.cas() {
		if err := n.pullAccount(ctx, ca, n.o.Files.Account(ca)); err != nil {
			return err
		}
		if err := n.pullOrderLog(ctx, ca, n.o.Files.OrderLog(ca)); err != nil {
			return err
		}
	}
	if err := n.pullOrders(ctx); err != nil {
		return err
	}
	if err := n.pullRecords(ctx); err != nil {
		return err
	}
	n.o.Log.Info("ordering for the fleet", "node", n.o.Fleet.Node, "took", time.Since(began).Round(time.Millisecond))
	return t.Good()
}

// cas returns all CAs.
func (n *Node) cas() []string {
	all := slices.Concat(slices.Collect(maps.Values(n.o.CAs))...)
	slices.Sort(all)
	return slices.Compact(all)
}

// opened returns the content of a value that a node which may order has signed, and the
// secret in it. One that is not as it should be is logged, and as if it were not there.
func opened[T any](n *Node, e engine.Entry, parse func([]byte) (T, error)) (body T, secret []byte, ok bool) {
	body, secret, err := fleet.Open(n.Fleet(), e, n.o.Fleet.Order, parse)
	if err != nil {
		n.o.Log.Warn("value of the engine ignored", "key", e.Key, "err", err, "remedy", problem.Remedy(err))
	}
	return body, secret, err == nil
}

// pullOrders takes over the orders under way.
func (n *Node) pullOrders(ctx context.Context) error {
	entries, err := n.read(ctx, document.KindOrder.Prefix())
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, e := range entries {
		k, ok := document.ParseKey(e.Key)
		if !ok {
			continue
		}
		order, data, ok := opened(n, e, document.Parse[document.Order])
		if !ok {
			continue
		}
		there[e.Key] = true
		n.noteHolders(e.Key, keyOfOrder(data), order.Sealed)
		files := n.o.Files.Order(k.Target, k.CA)
		have, err := files.Load()
		if err == nil && !bytes.Equal(have, data) {
			n.o.Log.Info("order taken over", "cert", k.Target, "ca", k.CA, "placed", order.Placed)
			err = files.Save(data, order.Placed)
		}
		if err == nil {
			err = n.commitOrder(ctx, e.Key, data, order.Placed) // sealed to those who may order now
		}
		if err != nil {
			return err
		}
	}
	n.mu.Lock()
	maps.Copy(n.written, there)
	n.mu.Unlock()
	return n.returnOrders(ctx, there)
}

// returnOrders gives the engine the orders that only this node knows.
func (n *Node) returnOrders(ctx context.Context, there map[string]bool) error {
	for target, cas := range n.o.CAs {
		for _, ca := range cas {
			key := document.OrderKey(target, ca)
			if there[key] {
				continue
			}
			data, err := n.o.Files.Order(target, ca).Load()
			if err == nil && data != nil {
				err = n.commitOrder(ctx, key, data, true)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// pullRecords copies the newer records of ordering: failures, and when a CA wants a
// certificate replaced. The record of a certificate that this node still has to take comes
// with that.
func (n *Node) pullRecords(ctx context.Context) error {
	entries, err := n.read(ctx, document.KindRecord.Prefix())
	if err != nil {
		return err
	}
	for _, e := range entries {
		k, ok := document.ParseKey(e.Key)
		if !ok {
			continue
		}
		ordering, secret, ok := n.openRecord(e)
		if !ok {
			continue
		}
		if err := n.pullRecord(k.Target, ordering, secret); err != nil {
			return err
		}
	}
	return nil
}

// openRecord returns the ordering half of a record.
func (n *Node) openRecord(e engine.Entry) (o record.Ordering, nextKey []byte, ok bool) {
	body, nextKey, ok := opened(n, e, document.Parse[document.Record])
	if !ok || json.Unmarshal(body.Ordering, &o) != nil {
		return o, nil, false
	}
	n.noteHolders(e.Key, nextKey, body.Sealed)
	return o, nextKey, true
}

// pullRecord writes the ordering half of a record, if it is about the pair that this node
// has.
func (n *Node) pullRecord(target string, o record.Ordering, nextKey []byte) error {
	have, err := record.Load(n.o.Store, target)
	if err != nil {
		return err
	}
	r, known := n.release(target)
	if !known || r.Serial != have.Fleet.Serial || r.Fingerprint != have.Fleet.Fingerprint {
		return nil
	}
	if nextKey != nil {
		if err := n.o.Store.WriteFile(target, renew.NextKeyFile, nextKey); err != nil {
			return err
		}
	}
	if o.Revoked.At.Before(have.Revoked.At) { // it was revoked here after the fleet's record was written
		o.Revoked = have.Revoked
	}
	have.Ordering = o
	return new(record.Records).Save(n.o.Store, target, have)
}

// sumOf identifies what some parts say.
func sumOf(parts ...[]byte) string {
	h := sha256.New()
	for _, data := range parts {
		fmt.Fprintf(h, "%d ", len(data))
		h.Write(data)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
