// Package pkcs12 writes a pair as one PKCS#12 file (RFC 7292), which Java, Windows and
// many appliances read: the key and the certificates, encrypted with a password.
//
//	password, err := pkcs12.Password("/etc/keypaird/keystore-password")
//	data, err := pkcs12.Encode(pair, password, pkcs12.Modern)
//
// The same pair, password and encryption always make the same file: salts and
// initialization vectors are derived from the private key, as nonces are in RFC 6979. So
// a file that is in place can be compared with the one that should be there.
//
// Files are never decrypted: they may be the work of another user, and their counts of
// iterations can keep a reader busy for hours.
package pkcs12
