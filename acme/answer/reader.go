package answer

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"keypaird/renew/textfmt"
)

// A Reader reads one answer.
type Reader struct {
	Base   *url.URL            // required; the URL requested, from which relative URLs start
	Serves func(*url.URL) bool // reports whether requests may go to a URL; not needed for a directory
	Names  []string            // the ordered names; nil means that nothing is ordered
}

// ErrOtherHost is in the error for a URL at which no requests are sent.
var ErrOtherHost = errors.New("which is not a host of the CA's directory")

const maxText = 253 // of a text of the CA in a message

// at returns the member as an absolute URL.
func (r Reader) at(what, spelled string) (string, error) {
	absolute, u, err := r.resolve(spelled)
	if err != nil {
		return "", fmt.Errorf("its %s is not a URL: %q", what, textfmt.OneLine(spelled, maxText))
	}
	if !r.Serves(u) {
		return "", fmt.Errorf("its %s is at %s://%s, %w", what, u.Scheme, textfmt.OneLine(u.Host, maxText), ErrOtherHost)
	}
	return absolute, nil
}

// resolve returns a URL as the CA spelled it, which it compares requests with, or
// absolute if it is relative.
func (r Reader) resolve(spelled string) (string, *url.URL, error) {
	u, err := url.Parse(spelled)
	if err != nil {
		return "", nil, err
	}
	if !u.IsAbs() {
		u = r.Base.ResolveReference(u)
		spelled = u.String()
	}
	return spelled, u, nil
}

// Location returns the URL in a Location header, which may be relative.
func (r Reader) Location(spelled string) string {
	if absolute, _, err := r.resolve(spelled); err == nil && spelled != "" {
		return absolute
	}
	return spelled
}

// urls makes the members absolute, and refuses those at other hosts.
func (r Reader) urls(o object, names ...string) error {
	for _, name := range names {
		if spelled := o.text(name); spelled != "" {
			absolute, err := r.at(name, spelled)
			if err != nil {
				return err
			}
			o.set(name, absolute)
		}
	}
	return nil
}

// Directory reads a directory (RFC 8555, section 7.1.1).
func (r Reader) Directory(body []byte) ([]byte, error) {
	o, err := read(body, []member{
		{"newNonce", text, required}, {"newAccount", text, required}, {"newOrder", text, required},
		{"revokeCert", text, optional}, {"keyChange", text, optional}, {"renewalInfo", text, optional}, {"meta", single, optional},
	})
	if err != nil {
		return nil, err
	}
	if err := (Reader{Base: r.Base, Serves: isHTTPS}).urls(o, "newNonce", "newAccount", "newOrder", "revokeCert", "keyChange", "renewalInfo"); err != nil {
		return nil, err
	}
	var meta object
	if json.Unmarshal(o["meta"], &meta) == nil {
		meta, _ = pick(meta, []member{
			{"termsOfService", text, optional}, {"website", text, optional}, {"caaIdentities", texts, optional},
			{"externalAccountRequired", flag, optional}, {"profiles", textMap, optional},
		})
		o.set("meta", meta)
	}
	return o.encode(), nil
}

func isHTTPS(u *url.URL) bool { return u.Scheme == "https" && u.Host != "" }

// Order reads an order (section 7.1.3).
func (r Reader) Order(body []byte) ([]byte, error) {
	o, err := read(body, []member{
		{"status", text, required}, {"expires", text, optional}, {"identifiers", several, optional}, {"profile", text, optional},
		{"notBefore", text, optional}, {"notAfter", text, optional}, {"replaces", text, optional}, {"error", single, optional},
		{"authorizations", texts, strict}, {"finalize", text, strict}, {"certificate", text, strict},
	})
	if err != nil {
		return nil, err
	}
	status := o.text("status")
	if (status == "pending" || status == "ready") && o.text("finalize") == "" {
		return nil, errors.New("it has no finalize")
	}
	if status == "invalid" && o["error"] == nil {
		o.set("error", map[string]string{"type": acmeNS + "orderInvalid", "detail": "the CA made the order invalid without a reason"})
	}
	if o["error"] != nil {
		o["error"] = Problem(0, o["error"])
	}
	if err := r.identifiers(o); err != nil {
		return nil, err
	}
	var authorizations []string
	_ = json.Unmarshal(o["authorizations"], &authorizations)
	for i, spelled := range authorizations {
		if authorizations[i], err = r.at("authorization", spelled); err != nil {
			return nil, err
		}
	}
	o.set("authorizations", authorizations)
	if err := r.urls(o, "finalize", "certificate"); err != nil {
		return nil, err
	}
	return o.encode(), nil
}

// Authorization reads an authorization (section 7.1.4). Its name is spelled as it was
// ordered if exactly one ordered name fits.
func (r Reader) Authorization(body []byte) ([]byte, error) {
	o, err := read(body, []member{
		{"status", text, required}, {"expires", date, optional}, {"identifier", single, required},
		{"challenges", several, strict}, {"wildcard", flag, optional},
	})
	if err != nil {
		return nil, err
	}
	r.authorized(o)
	var all []object
	_ = json.Unmarshal(o["challenges"], &all)
	challenges := []object{}
	for _, c := range all {
		if c, err = r.challenge(c); err != nil {
			return nil, err
		}
		if c.text("type") != "" && c.text("url") != "" {
			challenges = append(challenges, c)
		}
	}
	o.set("challenges", challenges)
	return o.encode(), nil
}

// challenge reads a challenge of an authorization (section 7.1.5).
func (r Reader) challenge(c object) (object, error) {
	c, err := pick(c, []member{
		{"type", text, optional}, {"url", text, optional}, {"status", text, optional}, {"validated", date, optional},
		{"token", text, optional}, {"error", single, optional}, {"issuer-domain-names", texts, optional},
	})
	if err != nil {
		return nil, err
	}
	if c["error"] != nil {
		c["error"] = Problem(0, c["error"])
	}
	if err := r.urls(c, "url"); err != nil {
		return nil, fmt.Errorf("a challenge of it: %w", err)
	}
	return c, nil
}

// Challenge reads the answer to a response to a challenge (section 7.5.1).
func (r Reader) Challenge(body []byte) ([]byte, error) {
	var c object
	if json.Unmarshal(body, &c) != nil || c == nil {
		return nil, ErrNoObject
	}
	c, err := r.challenge(c)
	if err != nil {
		return nil, err
	}
	return c.encode(), nil
}

// Account reads an account (section 7.1.2).
func (r Reader) Account(body []byte) ([]byte, error) {
	o, err := read(body, []member{{"status", text, optional}, {"contact", texts, optional}, {"termsOfServiceAgreed", flag, optional}})
	if err != nil {
		return nil, err
	}
	return o.encode(), nil
}
