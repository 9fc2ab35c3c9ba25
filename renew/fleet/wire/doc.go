// Package wire defines the messages between keypaird and keypaird-fleet: one JSON object a
// line, requests on the standard input of keypaird-fleet and answers on its standard
// output. The first request is Open, with all that keypaird-fleet needs to reach the
// engine: it opens no files. Then many requests may be under way at once. Each has an ID of
// its own, and one answer, or with More several.
//
// Of an answer with entries keypaird-fleet sends [Window] lines, and another for each Take
// of its request. So neither process holds more of a stream than that.
//
// The end of the input ends keypaird-fleet, and its leases.
package wire
