// Package web fetches well-known documents over TLS, from every address of
// their host.
//
// A [Fetcher] sends GET requests without credentials, cookies or proxies. Time,
// size, redirects and the number of requests are bounded. A certificate that is
// not trusted is part of the result: what is served behind it says what peers
// miss.
package web
