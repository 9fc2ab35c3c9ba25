// Package accountfile keeps an account at a CA: account.json, which says which one, and
// key.pem, its key. The URL is the identity of the account: CAA accounturi (RFC 8657) and
// dns-persist-01 records name it. So neither is ever replaced unasked:
//
//	account.json, key.pem   the account; key.pem alone is a registration that was cut off
//	newkey.pem              a key that the CA was asked to take in place of key.pem, see [Files.UseNew]
//	*.old-TIME              an account that was deactivated, once there is another one, or a key
//	                        of it that may still be in use
package accountfile
