package acme

import "time"

// SetPause sets the pause before the second request to finalize an order, or to
// validate a challenge; it doubles with each.
func SetPause(c *Client, d time.Duration) { c.pause = d }

// SetPatience sets how long a CA that stops answering within an order is asked.
func SetPatience(c *Client, d time.Duration) { c.patience = d }
