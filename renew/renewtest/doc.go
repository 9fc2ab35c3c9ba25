// Package renewtest has issuers and deployers for tests, made of functions.
package renewtest
