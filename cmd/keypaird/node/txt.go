package node

import (
	"context"
	"sync"
	"time"

	"keypaird/acme/dns01"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/engine"
	"keypaird/renew/problem"
)

// removeTime bounds the removal of records that another node has left.
const removeTime = 2 * time.Minute

// NoteTXT gives a record of a dns-01 challenge, which is about to be presented, to the nodes
// that may order, until removed is called.
func (n *Node) NoteTXT(ctx context.Context, r dns01.Presented) (removed func(), err error) {
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
// and not tried again: the provider or the operator may have removed the record.
func (n *Node) removeLeft(ctx context.Context, remove func(context.Context, dns01.Presented) error) {
	entries, err := n.read(ctx, document.KindTXT.Prefix())
	if err != nil {
		n.o.Log.Warn("records of other nodes not looked for", "err", err, "remedy", problem.Remedy(err))
	}
	var removing sync.WaitGroup
	for _, e := range entries {
		k, _ := document.ParseKey(e.Key)
		r, _, ok := opened(n, e, document.Parse[document.TXT])
		if !ok || r.Value != k.Token {
			continue
		}
		removing.Go(func() {
			limited, cancel := context.WithTimeout(ctx, removeTime)
			defer cancel()
			err := remove(limited, dns01.Presented{
				Account: r.Account, FQDN: r.FQDN, Value: r.Value, Domain: r.Domain, Token: r.Token, KeyAuth: r.KeyAuthorization,
			})
			if ctx.Err() != nil {
				return
			}
			log := n.o.Log.With("fqdn", r.FQDN, "value", r.Value)
			if err == nil {
				log.Info("TXT record of another node removed")
			} else {
				log.Warn("TXT record of another node may be left", "err", err, "remedy", "remove the record at the provider if it exists")
			}
			if err := n.commit(ctx, engine.Op{Key: e.Key}); err != nil {
				log.Debug("record not removed from the engine", "err", err)
			}
		})
	}
	removing.Wait()
}
