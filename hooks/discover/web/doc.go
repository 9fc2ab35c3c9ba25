// Package web fetches well-known documents over TLS, from every address of
// their host.
//
// A [Fetcher] sends GET requests without credentials, cookies or proxies. Time,
// size, redirects and the number of requests are bounded. A certificate that is
// not trusted does not stop a fetch; the result shows which document peers do not
// get because of it.
package web
