// Package record keeps what is known of a target beside its pairs: record.json in the
// directory of the target.
package record
