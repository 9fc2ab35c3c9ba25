// Package accounts shows and changes the accounts at the CAs: the command account.
package accounts
