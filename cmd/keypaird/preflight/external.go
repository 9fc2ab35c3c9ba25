package preflight

import (
	"fmt"
	"strings"
	"time"

	"keypaird/cmd/keypaird/config"
	"keypaird/cmd/keypaird/engine"
	"keypaird/renew/keypair"
)

// checkExternal reads the files of external certificates. With all, it also reports
// those that are right.
func checkExternal(cfg *config.Config, all bool) []Finding {
	var found []Finding
	for _, t := range cfg.Targets() {
		x := engine.ExternalOf(t)
		if x == nil || !cfg.OrdersHere() { // others take them from the fleet
			continue
		}
		p, err := x.Read(time.Now())
		switch {
		case err != nil:
			found = append(found, finding(engine.TypeExternal, t.Name, "", err))
		case p.Alone():
			found = append(found, Finding{
				Check: engine.TypeExternal, Subject: t.Name, Result: Warning, Detail: x.Chain + " holds the certificate alone: clients that do not know its issuer refuse it",
				Remedy: "append the intermediate certificates that its CA provides",
			})
		case all:
			detail := fmt.Sprintf("for %s, valid until %s", strings.Join(keypair.Names(p.Leaf), " "), p.Leaf.NotAfter.UTC().Format(time.RFC3339))
			found = append(found, finding(engine.TypeExternal, t.Name, detail, nil))
		}
	}
	return found
}
