package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"keypaird/acme"
	"keypaird/acme/accountfile"
	"keypaird/acme/authority"
	"keypaird/acme/orderlog"
	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	commands "keypaird/cmd/keypaird/fleet"
	"keypaird/cmd/keypaird/version"
	"keypaird/renew"
	"keypaird/renew/fleet/document"
	"keypaird/renew/fleet/envelope"
	"keypaird/renew/fleet/remote"
	"keypaird/renew/fleet/wire"
	"keypaird/renew/keypair"
	"keypaird/renew/record"
)

// boot identifies this process among the nodes: a machine with the same name has another.
var boot = sync.OnceValue(document.NewID)

// A Role is the part of a process in a fleet.
type Role int

const (
	Daemon   Role = iota // all of it, and no other process is the daemon of the state directory
	Command              // all of it, for a pass: no daemon runs
	Observer             // it follows, and leaves ordering and reporting to the daemon of this machine
	Alone                // likewise, but it orders without the engine, for an operator: issue -alone
)

// Engine makes the parts that a configuration describes, on a machine that may be a node of
// a fleet.
func Engine(cfg *config.Config, o engine.Options, role Role) (*engine.Engine, error) {
	if cfg.InFleet() {
		n, err := join(cfg, role, o.Log)
		if err != nil {
			return nil, err
		}
		o.Shared = n.Shared()
	}
	return engine.New(cfg, o)
}

// join returns this machine's node of the fleet of a configuration.
func join(cfg *config.Config, role Role, log *slog.Logger) (*Node, error) {
	identity, err := envelope.Read(cfg.State)
	if err != nil {
		return nil, err
	}
	f := cfg.Fleet
	members := f.Nodes.Members()
	if err := commands.CheckLine(f.Node, identity, members); err != nil {
		return nil, err
	}
	store, err := keypair.Open(cfg.State)
	if err != nil {
		return nil, err
	}
	e := remote.New(remote.Options{Settings: func() (wire.Settings, error) { return commands.Settings(cfg) }, Log: log})
	of := commands.Options(cfg, e, log)
	of.Identity, of.Boot, of.Version, of.Observer = identity, boot(), version.Program().Version, role == Observer || role == Alone
	if role == Daemon {
		of.Machine = machineOf(cfg.State)
	}
	of.Urgent = func(target string) bool { return urgent(store, target) }
	o := Options{
		Fleet: of,
		ID:    func(ctx context.Context) (string, error) { return commands.ID(ctx, e, cfg) },
		Alone: role == Alone,
		Run:   e.Run, Store: store, Log: log, CAs: map[string][]string{},
		Files: filesOf(cfg, store),
	}
	if cfg.OrdersHere() {
		o.Fleet.Targets = map[string]string{}
	}
	for _, t := range cfg.Targets() {
		o.CAs[t.Name] = t.SignWith
		if cfg.OrdersHere() {
			o.Fleet.Targets[t.Name] = sumOfTarget(t)
		}
	}
	return newNode(o), nil
}

// sumOfTarget identifies what an order depends on: orderers compare it.
func sumOfTarget(t config.Target) string {
	t.Deploy, t.Services = nil, nil
	data, _ := json.Marshal(t)
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// urgent reports whether what a target uses ends soon, or was revoked.
func urgent(store *keypair.Store, target string) bool {
	l, err := store.Look(target, record.File)
	r, _ := record.Parse(l.File)
	return err == nil && renew.State{InUse: l.InUse, Record: r}.Urgent(time.Now())
}

// filesOf returns where this machine keeps what it orders.
func filesOf(cfg *config.Config, store *keypair.Store) Files {
	return Files{
		Order: func(target, ca string) acme.OrderStore {
			return acme.OrderDir(engine.PendingDir(store, target, ca))
		},
		Account: func(ca string) accountfile.Files {
			return accountfile.Files{CA: ca, Store: accountfile.Dir(engine.AccountDir(cfg.State, ca))}
		},
		OrderLog: func(ca string) *orderlog.Log {
			known, _ := authority.BuiltIn(ca)
			return acme.NewOrderLog(known, engine.AccountDir(cfg.State, ca))
		},
	}
}

// Shared returns the stores of the fleet that replace files.
func (n *Node) Shared() engine.Shared {
	return engine.Shared{
		Orders: n.Orders, Account: n.Account, PermitAccountChange: n.PermitAccountChange, OrderLog: n.OrderLog, Permit: n.Permit, Clock: n.CompareClock, HTTP01: n.Solver, Token: n.ShareToken, TXT: n.NoteTXT,
		Target: n.target,
		Begin:  n.Begin, End: n.End, Run: n.take, Keep: n.Keep, Describe: n.Describe,
	}
}
