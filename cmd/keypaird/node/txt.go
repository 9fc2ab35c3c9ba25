package node

import (
	"context"
	"sync"
	"time"

	"keypaird/acme/dns01"
	"keypaird/renew/fleet"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/problem"
)

const (
	removeTime = 2 * time.Minute // bounds the removal of a record that another node has left
	removals   = 8               // at once
	noteAge    = 24 * time.Hour  // of a record; older ones are not removed
)

// NoteTXT gives a record of a dns-01 challenge, which is about to be presented, to the nodes
// that may order, until removed is called.
func (n *Node) NoteTXT(ctx context.Context, r dns01.Presented) (removed func(), err error) {
	if n.isAlone() {
		return func() {}, nil
	}
	key := document.TXTKey(r.Value)
	op, err := n.op(key, document.TXT{
		Account: r.Account, FQDN: r.FQDN, Value: r.Value, Domain: r.Domain, Token: r.Token, KeyAuthorization: r.KeyAuth,
	}, nil)
	if err == nil {
		err = n.commit(ctx, op)
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), engine.Timeout)
		defer cancel()
		if err := n.commit(ctx, engine.Op{Key: key}); err != nil {
			n.o.Log.Debug("record not removed from the engine", "fqdn", r.FQDN, "err", err) // the node that sits next tries again
		}
	}, err
}

// removeLeft removes the records that nodes which sat before have left. A failure is logged,
// and what failed tried again whenever a node takes the seat, for a day: the provider or the
// operator may have removed the record.
func (n *Node) removeLeft(ctx context.Context, remove func(context.Context, dns01.Presented) error) {
	entries, err := n.read(ctx, document.KindTXT.Prefix())
	if err != nil {
		n.o.Log.Warn("TXT records of other nodes not searched", "err", err, "remedy", problem.Remedy(err))
	}
	var removing sync.WaitGroup
	slots := make(chan struct{}, removals)
	for _, e := range entries {
		k, _ := document.ParseKey(e.Key)
		r, _, ok := opened(n, e, document.Parse[document.TXT])
		if !ok || r.Value != k.Token {
			continue
		}
		at, _ := fleet.SignedAt(n.Fleet(), e, n.o.Fleet.Order)
		slots <- struct{}{}
		removing.Go(func() {
			defer func() { <-slots }()
			n.removeRecord(ctx, e.Key, r, at, remove)
		})
	}
	removing.Wait()
}

// removeRecord has a record removed that was noted at a time.
func (n *Node) removeRecord(ctx context.Context, key string, r document.TXT, at time.Time, remove func(context.Context, dns01.Presented) error) {
	log := n.o.Log.With("fqdn", r.FQDN, "value", r.Value)
	if time.Since(at).Abs() > noteAge { // the engine may have been set back
		log.Warn("TXT record of another node may be left", "noted", at, "remedy", "remove the record at the provider if it exists")
	} else {
		limited, cancel := context.WithTimeout(ctx, removeTime)
		defer cancel()
		err := remove(limited, dns01.Presented{
			Account: r.Account, FQDN: r.FQDN, Value: r.Value, Domain: r.Domain, Token: r.Token, KeyAuth: r.KeyAuthorization,
		})
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.Warn("TXT record of another node not removed", "err", err, "remedy", "none is needed: the node that takes the seat next tries again, for a day; or remove the record at the provider if it exists")
			return
		}
		log.Info("TXT record of another node removed")
	}
	if err := n.commit(ctx, engine.Op{Key: key}); err != nil {
		log.Debug("record not removed from the engine", "err", err)
	}
}
