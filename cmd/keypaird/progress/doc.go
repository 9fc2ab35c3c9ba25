// Package progress shows at a terminal what is being done: a line for each item
// in work, with its step and how long that has taken. A log goes on
// above these lines.
//
//	show := progress.New(os.Stderr, os.Getenv("TERM"))
//	log := slog.New(slog.NewTextHandler(show, nil))
//	show.Run(func() {
//		show.Step("example.org", "validating") // by any goroutine
//		...
//		show.Step("example.org", "") // done
//	})
//	took, _ := show.Took("example.org")
//
// The package knows nothing of certificates.
package progress
