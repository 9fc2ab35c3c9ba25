package transport

import (
	"errors"
	"fmt"
	"net/http"

	"keypaird/acme/answer"
	"keypaird/renew/textfmt"
)

// read returns the body of an answer as an ACME library can read it.
func (t *Transport) read(req *http.Request, resp *http.Response, resource string, body []byte) ([]byte, error) {
	host, location := req.URL.Host, resp.Header.Get("Location")
	switch {
	case resp.StatusCode/100 == 3 && location != "" && req.Method != http.MethodGet:
		return nil, redirected(host, location)
	case resp.StatusCode < 200, resp.StatusCode/100 == 3 && location == "": // lego takes it for success
		return nil, noAnswer(host, resource, body)
	case resp.StatusCode >= 400:
		return answer.Problem(resp.StatusCode, body), nil
	case resp.StatusCode >= 300:
		return body, nil
	}
	t.mu.Lock()
	r := answer.Reader{Base: req.URL, Serves: t.server.directory.serves, Names: t.names}
	t.mu.Unlock()
	if location != "" && (resource == ResourceOrder || resource == ResourceAccount) {
		resp.Header.Set("Location", r.Location(location))
	}
	out, err := readResource(r, resource, body)
	switch {
	case err == nil:
		return out, nil
	case errors.Is(err, answer.ErrOtherHost):
		return nil, &Error{fmt.Errorf("the %s of %s cannot be used: %w", resource, host, err), OtherHost}
	case errors.Is(err, answer.ErrOtherNames):
		return nil, &Error{err, Wrong}
	case errors.Is(err, answer.ErrNoObject), resource == ResourceCert:
		return nil, noAnswer(host, resource, body)
	}
	return nil, &Error{fmt.Errorf("the %s of %s cannot be read: %w", resource, host, err), Unreadable}
}

// readResource reads the body of a good answer.
func readResource(r answer.Reader, resource string, body []byte) ([]byte, error) {
	switch resource {
	case resourceDirectory:
		return r.Directory(body)
	case ResourceAccount:
		return r.Account(body)
	case ResourceOrder, ResourceFinalize:
		return r.Order(body)
	case ResourceAuthz:
		return r.Authorization(body)
	case ResourceChallenge:
		return r.Challenge(body)
	case ResourceCert:
		return answer.Chain(body)
	}
	return body, nil
}

// noAnswer returns the error for an answer that is not of its resource at all.
func noAnswer(host, resource string, body []byte) error {
	begins := textfmt.OneLine(string(body[:min(len(body), 64)]), 64)
	return &Error{fmt.Errorf("the answer of %s is no %s: %q", host, resource, begins), Malformed}
}

// redirected returns the error for a redirect that is not followed.
func redirected(host, location string) error {
	return &Error{fmt.Errorf("%s answers with a redirect to %q", host, textfmt.OneLine(location, maxURL)), OtherHost}
}
