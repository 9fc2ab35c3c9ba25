package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"

	legoacme "github.com/go-acme/lego/v4/acme"
)

// errNoNonce is the error of an answer without a nonce.
var errNoNonce = errors.New("it gives out no nonces")

// Post sends a request that lego's api does not have, and drops its answer. sign returns
// its body for a fresh nonce. The error is a *legoacme.ProblemDetails if the CA refused.
func (t *Transport) Post(ctx context.Context, agent, nonceURL, url string, sign func(nonce string) ([]byte, error)) error {
	resp, err := t.send(ctx, agent, http.MethodHead, nonceURL, nil)
	if err != nil {
		return err
	}
	resp.Body.Close()
	nonce := resp.Header.Get("Replay-Nonce")
	if nonce == "" {
		return errNoNonce
	}
	body, err := sign(nonce)
	if err != nil {
		return err
	}
	if resp, err = t.send(ctx, agent, http.MethodPost, url, body); err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode < 400 {
		return nil
	}
	d := legoacme.ProblemDetails{HTTPStatus: resp.StatusCode, Method: http.MethodPost, URL: url}
	_ = json.NewDecoder(resp.Body).Decode(&d) // without one, the status says it
	return &d
}

func (t *Transport) send(ctx context.Context, agent, method, url string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", agent)
	if body != nil {
		req.Header.Set("Content-Type", "application/jose+json")
	}
	return t.Client().Do(req)
}
