package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"syscall"
	"time"

	"keypaird/renew/problem"
)

// idRetry is how often the engine is asked for the fleet's id.
const idRetry = 2 * time.Second

// findID returns the id of the fleet: the one that is known, or that which a member has
// written; false once ctx has ended.
func (n *Node) findID(ctx context.Context) (string, bool) {
	for {
		asking, cancel := context.WithTimeout(ctx, readTimeout)
		id, err := n.o.ID(asking)
		cancel()
		switch {
		case err != nil:
		case id != "":
			return id, true
		default:
			err = problem.New("the prefix of the engine belongs to no fleet yet", "run keypaird fleet init on a node of order")
		}
		n.mu.Lock()
		first := n.idErr.Error() != err.Error()
		n.idErr = err
		n.mu.Unlock()
		if first && ctx.Err() == nil {
			n.o.Log.Warn("not in the fleet yet", "err", err, "remedy", problem.Remedy(err))
		}
		if !sleep(ctx, idRetry) {
			return "", false
		}
	}
}

// machineOf returns an id of this machine, since its kernel was started, and of a state
// directory on it: a copy of the directory has another id. "": the system does not say.
func machineOf(state string) string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	info, err := os.Stat(state)
	if err != nil {
		return ""
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", bytes.TrimSpace(boot), st.Dev, st.Ino))
	return hex.EncodeToString(sum[:16])
}
