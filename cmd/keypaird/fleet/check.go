package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/cmd/keypaird/preflight"
	"keypaird/renew/durable"
	"keypaird/renew/fleet"
	"keypaird/renew/fleet/envelope"
	"keypaird/renew/fleet/remote"
	"keypaird/renew/fleet/wire"
	"keypaird/renew/launch/find"
	"keypaird/renew/problem"
)

// checkName is the check of all findings here.
const checkName = "fleet"

func failed(subject string, err error) preflight.Finding {
	return preflight.Finding{Check: checkName, Subject: subject, Result: preflight.Failed, Detail: err.Error(), Remedy: problem.Remedy(err)}
}

func warning(subject, detail, remedy string) preflight.Finding {
	return preflight.Finding{Check: checkName, Subject: subject, Result: preflight.Warning, Detail: detail, Remedy: remedy}
}

// Check checks what a fleet needs on this machine.
func Check(cfg *config.Config) (found preflight.Findings) {
	if !cfg.InFleet() {
		return checkLeft(cfg)
	}
	if _, err := find.Program(remote.Program); err != nil {
		found = append(found, failed(remote.Program, err))
	}
	if len(cfg.Fleet.Engine) == 2 {
		found = append(found, twoMembers("fleet.engine"))
	}
	encrypted := slices.ContainsFunc(cfg.Fleet.Engine, func(s string) bool { return strings.HasPrefix(s, "https:") })
	if encrypted && cfg.Fleet.TLS.Cert == "" && cfg.Fleet.PasswordFile == "" {
		found = append(found, warning("fleet.tls", "the engine does not know which node this is, so that it lets everybody in",
			"set cert and key in tls, or password_file; keypaird fleet init -print-etcdctl prints the rights"))
	}
	return append(found, checkKey(cfg)...)
}

// checkLeft warns if this machine left a fleet in which others ordered: it has pairs, and no
// account.
func checkLeft(cfg *config.Config) (found preflight.Findings) {
	if id, err := savedID(cfg.State); err != nil || id == "" {
		return nil
	}
	var cas []string
	for _, t := range cfg.Targets() {
		cas = append(cas, t.SignWith...)
	}
	slices.Sort(cas)
	for _, ca := range slices.Compact(cas) {
		dir := engine.AccountDir(cfg.State, ca)
		if entries, err := os.ReadDir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) || len(entries) > 0 {
			continue
		}
		found = append(found, warning(ca, "this machine was in a fleet, in which others ordered: the next order registers an account",
			"do nothing, or copy "+dir+" from a node that orders, to keep the fleet's account"))
	}
	return found
}

// checkKey checks the key of this node. Where another user runs the daemon, root leaves it
// to that user: the file is not root's to trust.
func checkKey(cfg *config.Config) preflight.Findings {
	if info, err := os.Stat(cfg.State); err == nil && os.Geteuid() == 0 {
		if uid, _ := durable.Owner(info); uid != 0 {
			return nil
		}
	}
	i, err := envelope.Read(cfg.State)
	members := cfg.Fleet.Nodes.Members()
	if err == nil {
		err = CheckLine(cfg.Fleet.Node, i, members)
	}
	if err != nil {
		return preflight.Findings{failed(cfg.Fleet.Node, err)}
	}
	if step := nextStep(i, members[cfg.Fleet.Node]); step != "" {
		return preflight.Findings{warning(cfg.Fleet.Node, "the exchange of this node's key is not complete", step)}
	}
	return nil
}

func twoMembers(subject string) preflight.Finding {
	return warning(subject, "an engine of two members is away when one of them is: it is worse than one", "have one member, or three")
}

// liveTimeout is how long the engine may take.
const liveTimeout = 30 * time.Second

// CheckLive is Check with the engine, which it asks.
func CheckLive(ctx context.Context, cfg *config.Config, log *slog.Logger) preflight.Findings {
	if !cfg.InFleet() {
		return nil
	}
	found := slices.DeleteFunc(Check(cfg), func(f preflight.Finding) bool { return f.Subject == "fleet.engine" })
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	e, end := open(ctx, cfg, log)
	defer end()
	state, err := e.State(ctx)
	if err != nil {
		return append(found, failed("engine", err))
	}
	found = append(found, checkEngine(state, time.Now())...)
	if err := fleet.CheckRights(ctx, e, cfg.Fleet.Node, cfg.OrdersHere()); err != nil {
		found = append(found, failed("rights", err))
	}
	return append(found, checkID(ctx, cfg, e))
}

// checkID checks that the prefix holds this machine's fleet.
func checkID(ctx context.Context, cfg *config.Config, e *remote.Engine) preflight.Finding {
	id, err := findID(ctx, e, cfg.Fleet.Nodes.Members())
	own, ownErr := savedID(cfg.State)
	switch {
	case err != nil:
		return failed(cfg.Fleet.Prefix, foreign(cfg.Fleet.Prefix, err))
	case id == "" && own == "":
		return failed(cfg.Fleet.Prefix, problem.New("the engine has no fleet there", "run keypaird fleet init on one of "+strings.Join(cfg.Fleet.Order, ", ")))
	case id == "":
		return warning(cfg.Fleet.Prefix, "the engine was emptied", "nothing is lost: a running keypaird on a node in order writes all again")
	case ownErr == nil && own != "" && own != id:
		return failed(cfg.Fleet.Prefix, otherFleet(cfg.Fleet.Prefix, cfg.State, own, id))
	}
	return preflight.Finding{Check: checkName, Subject: cfg.Fleet.Prefix, Result: preflight.Good, Detail: "fleet " + id}
}

const certificateEnd = 30 * 24 * time.Hour // before which the end of a certificate is a warning

// checkEngine checks the members of the engine.
func checkEngine(s *wire.State, now time.Time) (found preflight.Findings) {
	if s.Members == 2 {
		found = append(found, twoMembers("engine"))
	}
	for _, other := range s.Others {
		found = append(found, warning("fleet.engine", fmt.Sprintf("the engine has another member, %s", other), "list it in engine of [fleet], too"))
	}
	if end := s.NotAfter; !end.IsZero() && end.Before(now.Add(certificateEnd)) {
		found = append(found, warning("fleet.tls", "this node's certificate for the engine ends on "+end.UTC().Format(time.DateOnly), "replace the files of cert and key in tls: they are read again within a minute"))
	}
	away := 0
	for _, e := range s.Endpoints {
		if e.Error != "" {
			away++
		}
	}
	for _, e := range s.Endpoints {
		f := checkMember(e, now)
		if f.Result == preflight.Failed && e.Error != "" && away <= (len(s.Endpoints)-1)/2 {
			f.Result = preflight.Warning // the others have a majority
		}
		found = append(found, f)
	}
	return found
}

// host returns how a member is reached.
func host(e wire.Endpoint) string {
	if u, err := url.Parse(e.URL); err == nil {
		return u.Host
	}
	return e.URL
}

// alarmError says which alarms a member has.
func alarmError(e wire.Endpoint) error {
	return problem.New("it has the alarm "+strings.Join(e.Alarms, ", "), "for NOSPACE: etcdctl compact, etcdctl defrag, then etcdctl alarm disarm; let etcd compact by itself: --auto-compaction-retention=1h")
}

// checkMember checks one member of the engine.
func checkMember(e wire.Endpoint, now time.Time) preflight.Finding {
	const mib = 1 << 20
	subject := host(e)
	switch {
	case e.Error != "":
		return failed(subject, problem.New(e.Error, e.Remedy))
	case len(e.Alarms) > 0:
		return failed(subject, alarmError(e))
	case e.Quota > 0 && e.Size > e.Quota/2:
		return warning(subject, fmt.Sprintf("its database has %d MiB of the %d MiB at which it takes no more", e.Size/mib, e.Quota/mib), "etcdctl compact and etcdctl defrag; let etcd compact by itself: --auto-compaction-retention=1h")
	case !e.NotAfter.IsZero() && e.NotAfter.Before(now.Add(certificateEnd)):
		return warning(subject, "its certificate ends on "+e.NotAfter.UTC().Format(time.DateOnly), "replace it on that machine; etcd reads it for each connection")
	}
	detail := "etcd " + e.Version + " answers"
	if e.Version == "" {
		detail = "etcd answers; since 3.6 it shows its size and alarms only to root: etcdctl endpoint status"
	}
	return preflight.Finding{Check: checkName, Subject: subject, Result: preflight.Good, Detail: detail}
}
