// Package selftest asks for the response to a challenge at every address of its name
// before a CA does, so that a mistake costs no failed validation.
//
// A [Solver] stops an order for a mistake that a CA would see, too: another answer, or a
// refused connection. If this machine cannot decide, since an address is out of its reach or
// a name is not known here, the CA is asked. Where several machines answer for a name, one
// that has no response yet gets some seconds, and one that is down is no reason to stop.
package selftest
