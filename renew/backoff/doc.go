// Package backoff counts the failures of a step and says when to try it again:
// later after each failure in a row, sooner where time runs short, and not all
// machines at the same instant.
//
// The package does not wait, and stores nothing: an [Attempt] is part of a record.
package backoff
