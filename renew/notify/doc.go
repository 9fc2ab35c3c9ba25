// Package notify decides when an operator must act, and sends notices.
//
// [Check] is the one rule: the page, the metrics and the [notify] command of the
// configuration all use its [Alert]. A [Notifier] sends notices after a pass, at
// most daily for one target and kind, and records what it sent:
//
//	report := reprobe.Run(ctx, pass, targets)
//	notifier.Notify(ctx, &report)
//
// A [Sender] delivers the notices.
package notify
