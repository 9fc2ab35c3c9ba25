//go:build !linux

package command

import "context"

// ReapOrphans does nothing: only Linux is known to run programs as process 1.
func ReapOrphans(context.Context) {}
