package fleet

import (
	"context"

	"keypaird/cmd/keypaird/accounts"
	"keypaird/cmd/keypaird/config"
	"keypaird/renew/fleet/document"
)

// Rollover asks the node in the seat to replace the keys of the accounts at CAs.
func (c *Command) Rollover(ctx context.Context, cfg *config.Config, cas []string) (rows accounts.Accounts, err error) {
	answer, err := c.Ask(ctx, cfg, nil, document.Ask{Do: document.Rollover, CAs: cas})
	for _, did := range answer.Outcomes {
		ca, _ := cfg.Authority(did.Target)
		a := accounts.Account{CA: did.Target, Directory: ca.Directory, Status: accounts.Valid, Done: did.Why, Error: did.Error, Remedy: did.Remedy}
		if did.Error != "" {
			a.Status = accounts.Failed
		}
		rows = append(rows, a)
	}
	return rows, err
}
