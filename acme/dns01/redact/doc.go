// Package redact removes the credentials of a DNS account from messages:
//
//	r := redact.Of(os.Environ())
//	text = r.Redact(text)
//
// keypaird-dns uses it for its answers and its log, keypaird for everything it
// reads from keypaird-dns, such as the panic of one that crashed.
//
// The package writes nothing and never changes the environment. A value shorter than
// six bytes is not taken for a secret.
package redact
