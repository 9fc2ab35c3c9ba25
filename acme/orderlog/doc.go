// Package orderlog keeps orders.log beside the account of a CA: what was ordered,
// and whether one more certificate is allowed.
//
// Call [Log.Reserve] before each request to newOrder or finalize: it notes the
// event, or returns a [RateLimitError] and the request is not sent. [Log.Limit]
// returns the same error and notes nothing. So a fault of ours, such as a loop, a lost
// record or a second process, cannot use up the limits of the CA.
//
// The file has a line for each event: the time, the kind of request, the SHA-256
// of the names and, for finalize, that of the order's URL:
//
//	2026-11-23T20:17:00Z newOrder 8f434346648f6b96df89dda901c5176b
//	2026-11-23T20:17:02Z finalize 8f434346648f6b96df89dda901c5176b 2c26b46b68ffc68f
//
// An event is written before its request is sent. One that is noted without need
// costs a wait; one that is missing could cost the CA's limit.
package orderlog
