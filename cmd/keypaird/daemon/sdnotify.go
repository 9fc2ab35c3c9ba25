//go:build !netbsd

package daemon

import (
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Notify sends text to the service manager, if there is one.
func Notify(text string) error {
	_, err := daemon.SdNotify(false, text)
	return err
}

// monotonic returns the assignment that goes with RELOADING=1.
func monotonic() string { return daemon.SdNotifyMonotonicUsec() }

// watchdogInterval returns the longest time between two keep-alives that the service
// manager accepts; zero if it expects none.
func watchdogInterval() (time.Duration, error) { return daemon.SdWatchdogEnabled(false) }
