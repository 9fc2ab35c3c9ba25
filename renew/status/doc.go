// Package status reports the state of every target: which certificate is live,
// until when, the next action and its reason. It reads the state on disk and
// needs no daemon. Call [Collect] and print the [Document] with
// [Document.WriteText] or as JSON.
//
// A daemon serves the same to browsers and monitoring with a [Server], and counts
// its work with [Metrics].
package status
