package child

import (
	"context"
	"errors"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/wire"
)

// commit performs a transaction, and never again: it may have happened although it failed.
func (c *connection) commit(ctx context.Context, m *wire.Commit) wire.Answer {
	var compares []clientv3.Cmp
	var which []clientv3.Op // says which condition does not hold
	for _, condition := range m.Conditions {
		compare := clientv3.Compare(clientv3.Value(c.key(condition.Key)), "=", string(condition.Value))
		if condition.Value == nil {
			compare = clientv3.Compare(clientv3.CreateRevision(c.key(condition.Key)), "=", 0)
		}
		compares = append(compares, compare)
		which = append(which, clientv3.OpTxn([]clientv3.Cmp{compare}, nil, nil))
	}
	var do []clientv3.Op
	for _, op := range m.Do {
		switch key := c.key(op.Key); {
		case op.Value == nil:
			do = append(do, clientv3.OpDelete(key))
		case op.Lease != 0:
			do = append(do, clientv3.OpPut(key, string(op.Value), clientv3.WithLease(clientv3.LeaseID(op.Lease))))
		default:
			do = append(do, clientv3.OpPut(key, string(op.Value)))
		}
	}
	if len(which) == 1 {
		which = nil
	}
	client, err := c.etcd()
	if err != nil {
		return wire.Answer{Failure: c.failure(ctx, err)}
	}
	limited, cancel := limit(ctx, client, requestLimit)
	defer cancel()
	before := c.history.before()
	response, err := client.Txn(limited).If(compares...).Then(do...).Else(which...).Commit()
	switch {
	case errors.Is(err, rpctypes.ErrPermissionDenied):
		return wire.Answer{Failure: c.refused(limited, client, m)}
	case err != nil:
		return wire.Answer{Failure: c.failure(ctx, err)}
	}
	c.history.linearizable(response.Header, before)
	if response.Succeeded {
		return wire.Answer{Revision: engine.Revision(response.Header.Revision)}
	}
	key := m.Conditions[0].Key
	for i, r := range response.Responses {
		if !r.GetResponseTxn().GetSucceeded() {
			key = m.Conditions[i].Key
			break
		}
	}
	return wire.Answer{Failure: &wire.Failure{Kind: wire.Condition, Key: key, Text: "a condition does not hold"}}
}

// Sizes of what is read and sent at once.
const (
	pageSize  = 1 << 20
	lineSize  = 512 << 10
	firstPage = 64 // entries
	maxPage   = 2000
)

// read reads page by page, at one revision.
func (c *connection) read(ctx context.Context, prefix string, send func([]engine.Entry, engine.Revision) bool) wire.Answer {
	var revision int64
	from, end := c.key(prefix), clientv3.GetPrefixRangeEnd(c.key(prefix))
	for limit := int64(firstPage); ; {
		var response *clientv3.GetResponse
		err := c.try(ctx, func(ctx context.Context, client *clientv3.Client) (err error) {
			before := c.history.before()
			response, err = client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(limit), clientv3.WithRev(revision))
			if err == nil {
				c.history.linearizable(response.Header, before)
			}
			return err
		})
		if err != nil {
			return wire.Answer{Failure: c.failure(ctx, err, prefix)}
		}
		if revision == 0 {
			revision = response.Header.Revision
		}
		size := 1
		var entries []engine.Entry
		for _, kv := range response.Kvs {
			entries = append(entries, engine.Entry{Key: c.name(kv.Key), Value: append([]byte{}, kv.Value...), Revision: engine.Revision(kv.ModRevision)})
			size += entrySize(entries[len(entries)-1])
		}
		for len(entries) > 0 {
			n := fitting(entries)
			if !send(entries[:n], engine.Revision(revision)) {
				return wire.Answer{}
			}
			entries = entries[n:]
		}
		if !response.More || len(response.Kvs) == 0 {
			return wire.Answer{Revision: engine.Revision(revision)}
		}
		from = string(response.Kvs[len(response.Kvs)-1].Key) + "\x00"
		limit = min(maxPage, max(1, pageSize*int64(len(response.Kvs))/int64(size)))
	}
}

func entrySize(e engine.Entry) int { return len(e.Key) + len(e.Value) + 64 }

// fitting returns how many of the entries are sent in one line.
func fitting(entries []engine.Entry) int {
	size := 0
	for i, e := range entries {
		if size += entrySize(e); size > lineSize && i > 0 {
			return i
		}
	}
	return len(entries)
}

// revision asks for the revision of the engine; it is an error if it is older than at, or
// if that was compacted.
func (c *connection) revision(ctx context.Context, client *clientv3.Client, prefix string, at engine.Revision) error {
	before := c.history.before()
	response, err := client.Get(ctx, c.key(prefix), clientv3.WithPrefix(), clientv3.WithLimit(1), clientv3.WithKeysOnly(), clientv3.WithRev(int64(at)))
	if err == nil {
		c.history.linearizable(response.Header, before)
	}
	return err
}

// lease makes a lease. One that was made although it failed ends by itself.
func (c *connection) lease(ctx context.Context, ttl time.Duration) wire.Answer {
	var a wire.Answer
	err := c.try(ctx, func(ctx context.Context, client *clientv3.Client) error {
		response, err := client.Grant(ctx, int64((ttl+time.Second-1)/time.Second))
		if err == nil {
			a.Lease = engine.LeaseID(response.ID)
		}
		return err
	})
	if err != nil {
		a.Failure = c.failure(ctx, err)
	}
	return a
}

// renew renews a lease once.
func (c *connection) renew(ctx context.Context, id engine.LeaseID) wire.Answer {
	err := c.try(ctx, func(ctx context.Context, client *clientv3.Client) error {
		stream, err := pb.NewLeaseClient(client.ActiveConnection()).LeaseKeepAlive(clientv3.WithRequireLeader(ctx))
		if err == nil {
			err = stream.Send(&pb.LeaseKeepAliveRequest{ID: int64(id)})
		}
		var response *pb.LeaseKeepAliveResponse
		if err == nil {
			response, err = stream.Recv()
		}
		switch {
		case err != nil:
			return rpctypes.Error(err)
		case response.TTL <= 0:
			return rpctypes.ErrLeaseNotFound
		}
		return nil
	})
	if err != nil {
		return wire.Answer{Failure: c.failure(ctx, err)}
	}
	return wire.Answer{Lease: id}
}

// endLease ends a lease, with its keys.
func (c *connection) endLease(ctx context.Context, id engine.LeaseID) wire.Answer {
	err := c.try(ctx, func(ctx context.Context, client *clientv3.Client) error {
		_, err := client.Revoke(ctx, clientv3.LeaseID(id))
		if err == rpctypes.ErrLeaseNotFound {
			return nil
		}
		return err
	})
	if err != nil {
		return wire.Answer{Failure: c.failure(ctx, err)}
	}
	return wire.Answer{Lease: id}
}
