package daemon

import "time"

// NetBSD has no service manager, and go-systemd does not build there.

func sdNotify(string) error { return nil }

func monotonic() string { return "" }

func watchdogInterval() (time.Duration, error) { return 0, nil }
