package child

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"keypaird/renew/fleet/engine"
	"keypaird/renew/fleet/wire"
)

// faults are the errors of etcd that have a remedy.
var faults = []struct {
	errs []error
	wire.Failure
}{
	{[]error{rpctypes.ErrCompacted, rpctypes.ErrFutureRev, engine.ErrGap}, wire.Failure{Kind: wire.Gap, Text: "the engine has forgotten older changes, or was restored"}},
	{[]error{rpctypes.ErrNoSpace}, wire.Failure{Kind: wire.NoSpace, Text: "the engine has no space left and takes no writes",
		Remedy: "etcdctl compact REVISION, etcdctl defrag for each member, then etcdctl alarm disarm; let etcd have --auto-compaction-retention, or a larger --quota-backend-bytes"}},
	{[]error{rpctypes.ErrNoLeader, rpctypes.ErrNotLeader, rpctypes.ErrLeaderChanged, rpctypes.ErrTimeout, rpctypes.ErrTimeoutDueToLeaderFail, rpctypes.ErrTimeoutDueToConnectionLost, rpctypes.ErrTimeoutWaitAppliedIndex, rpctypes.ErrUnhealthy, rpctypes.ErrStopped}, noLeader},
	{[]error{rpctypes.ErrRequestTooLarge}, wire.Failure{Kind: wire.TooLarge, Text: "a commit is larger than the engine takes",
		Remedy: "start etcd with a larger --max-request-bytes"}},
	{[]error{rpctypes.ErrTooManyOps}, wire.Failure{Kind: wire.TooLarge, Text: "a commit has more keys than the engine takes",
		Remedy: "start etcd with a larger --max-txn-ops"}},
	{[]error{rpctypes.ErrLeaseNotFound}, wire.Failure{Kind: wire.LeaseEnded, Text: "the lease has ended"}},
	{[]error{rpctypes.ErrUserEmpty}, wire.Failure{Kind: wire.Refused, Text: "the engine wants a user and is given none",
		Remedy: "name a client certificate in [fleet] tls with the user as its common name, and start etcd with --client-cert-auth"}},
	{[]error{errLogin, rpctypes.ErrAuthFailed, rpctypes.ErrInvalidAuthToken, rpctypes.ErrAuthOldRevision, rpctypes.ErrInvalidAuthMgmt}, wire.Failure{Kind: wire.Refused, Text: errLogin.Error(),
		Remedy: "compare both with: etcdctl user get USER"}},
	{[]error{rpctypes.ErrCorrupt}, wire.Failure{Kind: wire.Other, Text: "a member of the engine is corrupt",
		Remedy: "remove and add that member anew: etcdctl alarm list names it"}},
	{[]error{rpctypes.ErrTooManyRequests}, wire.Failure{Kind: wire.NoLeader, Text: "the engine has too many requests at once", Remedy: "look at the load of its members: etcdctl endpoint status"}},
	{[]error{errSettings}, wire.Failure{Kind: wire.Other, Text: errSettings.Error()}},
}

var noLeader = wire.Failure{Kind: wire.NoLeader, Text: "too few members of the engine are up to elect a leader",
	Remedy: "start the members that are down: etcdctl endpoint status --cluster names them, and their logs say why they ended, such as a full disk"}

// failure says what an error of the engine means for a request about keys. Where the
// engine did not answer it looks at each endpoint.
func (c *connection) failure(ctx context.Context, err error, keys ...string) *wire.Failure {
	if err == nil {
		err = context.Canceled
	}
	for _, f := range faults {
		if slices.ContainsFunc(f.errs, func(known error) bool { return errors.Is(err, known) }) {
			found := f.Failure
			return &found
		}
	}
	switch {
	case errors.Is(err, rpctypes.ErrPermissionDenied):
		return c.denied("read", keys...)
	case ctx.Err() != nil:
		return &wire.Failure{Kind: wire.Other, Text: "canceled"}
	case c.ctx.Err() != nil:
		return &wire.Failure{Kind: wire.Other, Text: errSettings.Error()}
	case unanswered(err):
		return c.unreachable(ctx)
	case status.Code(err) == codes.ResourceExhausted: // of gRPC, before it is sent
		return &wire.Failure{Kind: wire.TooLarge, Text: "a commit is larger than the engine takes", Remedy: "start etcd with a larger --max-request-bytes"}
	}
	return &wire.Failure{Kind: wire.Other, Text: "the engine: " + status.Convert(err).Message(), Remedy: "see what the log of etcd says"}
}

// unanswered reports whether an error says that there was no answer.
func unanswered(err error) bool {
	code := status.Code(err)
	if etcd, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		code = etcd.Code()
	}
	return slices.Contains([]codes.Code{codes.Unavailable, codes.DeadlineExceeded, codes.Canceled}, code) ||
		status.Convert(err).Message() == context.DeadlineExceeded.Error() || // of etcd itself, which has no code for it
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// denied returns the failure of a request for which the user lacks a right to a key.
func (c *connection) denied(right string, keys ...string) *wire.Failure {
	what, who, grant := "a request", "a client without a certificate", ""
	if len(keys) > 0 {
		what = c.key(keys[0])
	}
	if c.user != "" {
		who = "the user " + c.user
	}
	if c.user != "" && len(keys) > 0 {
		grant = fmt.Sprintf(", or give the ROLE that etcdctl user get %s shows the right: etcdctl role grant-permission ROLE --prefix=true %s %s", c.user, right, c.key(prefixOf(keys[0])))
	}
	return &wire.Failure{Kind: wire.Refused, Text: fmt.Sprintf("the engine refuses %s to %s", what, who),
		Remedy: "give that user its role: keypaird fleet init -print-etcdctl prints how" + grant}
}

// prefixOf returns the prefix below which a role has a right to a key.
func prefixOf(key string) string {
	parts := strings.SplitAfter(key, "/")
	if n := len(parts); n > 2 && (parts[0] == "nodes/" || parts[0] == "asks/") {
		return parts[0] + parts[1]
	}
	return parts[0]
}

// refused returns which key of a commit the user may not use.
func (c *connection) refused(ctx context.Context, client *clientv3.Client, m *wire.Commit) *wire.Failure {
	never := func(key string) clientv3.Cmp { return clientv3.Compare(clientv3.CreateRevision(key), "=", -1) }
	for _, condition := range m.Conditions {
		if _, err := client.Get(ctx, c.key(condition.Key), clientv3.WithKeysOnly()); errors.Is(err, rpctypes.ErrPermissionDenied) {
			return c.denied("readwrite", condition.Key)
		}
	}
	for _, op := range m.Do {
		key := c.key(op.Key)
		if _, err := client.Txn(ctx).If(never(key)).Then(clientv3.OpPut(key, "")).Commit(); errors.Is(err, rpctypes.ErrPermissionDenied) {
			return c.denied("readwrite", op.Key)
		}
	}
	return c.denied("readwrite") // it was given the right meanwhile
}

// unreachable returns the failure of a request that was not answered.
func (c *connection) unreachable(ctx context.Context) *wire.Failure {
	probes := c.probe(ctx)
	var first *wire.Failure
	var reasons []string
	for _, p := range probes {
		if p.failure == nil {
			continue
		}
		reasons = append(reasons, p.url+": "+p.failure.Text)
		if first == nil || first.Kind == wire.Unreachable {
			first = p.failure
		}
	}
	var f wire.Failure
	switch n := len(reasons); {
	case n == len(probes):
		f = *first
		f.Text = "no endpoint of the engine can be used"
	case 2*n >= len(probes):
		f = noLeader
	default:
		f = noLeader
		f.Text = "the engine does not answer in time"
	}
	if len(reasons) > 0 {
		f.Text += ": " + strings.Join(reasons, "; ")
	}
	return &f
}
