package answer

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/net/idna"

	"keypaird/renew/textfmt"
)

// An identifier is one of RFC 8555, section 9.7.7, or RFC 8738.
type identifier struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// ErrOtherNames is in the error for an order that is not for the names that were
// ordered.
var ErrOtherNames = errors.New("the order is not for the names that were ordered")

// identifiers spells the identifiers of an order as the names that were ordered. An
// order that lists none is for those.
func (r Reader) identifiers(o object) error {
	if r.Names == nil {
		return nil
	}
	var all []identifier
	_ = json.Unmarshal(o["identifiers"], &all)
	if n := len(r.Names); len(all) > 2*n { // nothing is compared with a list that cannot be right
		return fmt.Errorf("%w: it has %d", ErrOtherNames, len(all))
	}
	left := slices.Clone(r.Names)
	for _, id := range all {
		i := fit(left, id.Value, false)
		if i < 0 && fit(r.Names, id.Value, false) < 0 {
			return fmt.Errorf("%w: it has %q", ErrOtherNames, textfmt.OneLine(id.Value, maxText))
		}
		if i >= 0 {
			left = slices.Delete(left, i, i+1)
		}
	}
	if len(all) > 0 && len(left) > 0 {
		return fmt.Errorf("%w: it lacks %s", ErrOtherNames, strings.Join(left, " "))
	}
	ids := make([]identifier, len(r.Names))
	for i, name := range r.Names {
		ids[i] = identifier{"dns", name}
		if net.ParseIP(name) != nil {
			ids[i].Type = "ip"
		}
	}
	o.set("identifiers", ids)
	return nil
}

// authorized spells the name of an authorization as it was ordered. The one of an
// ordered wildcard has the name without "*." (section 7.1.4).
func (r Reader) authorized(o object) {
	var id identifier
	var wildcard bool
	_ = json.Unmarshal(o["identifier"], &id)
	_ = json.Unmarshal(o["wildcard"], &wildcard)
	if i := fit(r.Names, id.Value, wildcard); i >= 0 {
		id.Value, wildcard = strings.CutPrefix(r.Names[i], "*.")
	}
	o.set("identifier", id)
	o.set("wildcard", wildcard)
}

// fit returns the index of the name that a CA calls value, or -1. A name spelled
// exactly so is preferred to one that differs in "*.".
func fit(names []string, value string, wildcard bool) int {
	value = canonical(value)
	base, star := strings.CutPrefix(value, "*.")
	tries := []string{base, "*." + base}
	if star || wildcard {
		slices.Reverse(tries)
	}
	for _, spelled := range tries {
		if i := slices.IndexFunc(names, func(name string) bool { return canonical(name) == spelled }); i >= 0 {
			return i
		}
	}
	return -1
}

// canonical returns a name as it is compared: in lower case, in its A-label form
// and without a final dot.
func canonical(name string) string {
	name = strings.TrimSuffix(strings.TrimSpace(name), ".")
	if ip := net.ParseIP(strings.Trim(name, "[]")); ip != nil {
		return ip.String()
	}
	if ascii, err := idna.Punycode.ToASCII(name); err == nil {
		name = ascii
	}
	return strings.ToLower(name)
}
