// Package remote is the engine that keypaird-fleet reaches: an [Engine] starts it, starts
// it again when it has ended, and speaks package wire with it.
//
//	e := remote.New(remote.Options{Settings: settings, Log: log})
//	go e.Run(ctx)
//	snapshot, err := e.Read(ctx, "live/")
//
// While keypaird-fleet is down all fails at once, with the reason. It is given what it
// needs by its input, and opens no file of ours: it has a user of its own, which may read
// neither keys nor configuration.
package remote
