// Package notify decides when an operator has to act, and says so.
//
// [Check] is the one rule: the page, the metrics and the [notify] command of the
// configuration all go by its [Alert]. A [Notifier] sends notices after a pass, at
// most daily for one target and kind, and remembers in the records what it sent:
//
//	report := pass.Run(ctx, targets)
//	notifier.Notify(ctx, &report)
//
// It knows nothing of how a notice is sent.
package notify
