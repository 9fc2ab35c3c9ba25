// Package expect probes the endpoints of a deployment before and after a change, and
// evaluates which of them serve the pairs that they are expected to serve.
//
// A [Query] is one endpoint and one name. [Probe] sends queries once, [Poll] until they
// are answered with the wanted pair, and [Evaluate] says of which targets pairs are
// missing where. The package changes nothing.
package expect
