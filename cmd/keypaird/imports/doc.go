// Package imports is "keypaird import", which replaces another ACME client: [Import.Run]
// plans a configuration from the files that package trees found, writes it, copies accounts
// and pairs into the state directory, and disables the timer or cron job of the other
// client.
//
// Nothing is ever replaced: neither a configuration nor an account nor a pair. Files that a
// killed run has written are left as they are by the next one. The other client's files
// stay as they are.
package imports
