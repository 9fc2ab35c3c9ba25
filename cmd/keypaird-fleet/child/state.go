package child

import (
	"context"
	"slices"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"keypaird/renew/fleet/wire"
)

// state asks each endpoint what it says of itself.
func (c *connection) state(ctx context.Context) *wire.State {
	s := &wire.State{NotAfter: c.notAfter}
	for _, p := range c.probe(ctx) {
		e := wire.Endpoint{URL: p.url, NotAfter: p.notAfter}
		if p.failure != nil {
			e.Error, e.Remedy = p.failure.Text, p.failure.Remedy
		}
		s.Endpoints = append(s.Endpoints, e)
	}
	ctx, cancel := context.WithTimeout(ctx, tryLimit)
	defer cancel()
	client, err := c.etcd()
	if err != nil {
		f := c.failure(ctx, err)
		for i := range s.Endpoints {
			if s.Endpoints[i].Error == "" {
				s.Endpoints[i].Error, s.Endpoints[i].Remedy = f.Text, f.Remedy
			}
		}
		return s
	}
	var all sync.WaitGroup
	for i := range s.Endpoints {
		if s.Endpoints[i].Error == "" {
			all.Go(func() { c.ask(ctx, client, &s.Endpoints[i]) })
		}
	}
	all.Go(func() {
		members, err := client.MemberList(ctx)
		if err != nil { // some versions want more rights for it than keypaird needs
			return
		}
		s.Members = len(members.Members)
		for _, m := range members.Members {
			if !slices.ContainsFunc(m.ClientURLs, func(u string) bool { return slices.Contains(c.settings.Endpoints, u) }) {
				s.Others = append(s.Others, m.ClientURLs...)
			}
		}
	})
	all.Wait()
	return s
}

// ask fills in what the member at an endpoint says of itself. From 3.6 on that is for root
// alone: others learn whether the engine answers.
func (c *connection) ask(ctx context.Context, client *clientv3.Client, e *wire.Endpoint) {
	status, err := client.Status(ctx, e.URL)
	if err != nil && c.failure(ctx, err).Kind == wire.Refused {
		if _, err = client.Get(ctx, c.key("fleet"), clientv3.WithKeysOnly()); err == nil {
			return
		}
	}
	if err != nil {
		f := c.failure(ctx, err)
		e.Error, e.Remedy = f.Text, f.Remedy
		return
	}
	e.Version, e.Size, e.InUse, e.Quota = status.Version, status.DbSize, status.DbSizeInUse, status.DbSizeQuota
	e.Leader = status.Leader != 0 && status.Leader == status.Header.MemberId
	if status.Leader == 0 {
		e.Error, e.Remedy = noLeader.Text, noLeader.Remedy
	}
	if len(status.Errors) == 0 {
		return
	}
	alarms, err := client.AlarmList(ctx)
	if err != nil {
		e.Alarms = status.Errors
		return
	}
	for _, a := range alarms.Alarms {
		if a.Alarm != pb.AlarmType_NONE {
			e.Alarms = append(e.Alarms, a.Alarm.String())
		}
	}
	slices.Sort(e.Alarms)
	e.Alarms = slices.Compact(e.Alarms)
}
