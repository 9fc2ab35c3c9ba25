package acme

import "time"

// SetFinalizePause sets the pause after the first request to finalize that left the
// order ready; it doubles with each.
func SetFinalizePause(c *Client, d time.Duration) { c.finalizePause = d }
