// Package accounts shows and changes the accounts at the CAs, and revokes certificates: the
// commands account and revoke.
package accounts
