package daemon

import "time"

// Notify does nothing: NetBSD has no service manager, and go-systemd does not build there.
func Notify(string) error { return nil }

func monotonic() string { return "" }

func watchdogInterval() (time.Duration, error) { return 0, nil }
