package dns01

import (
	"context"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// A CAA is a record that says who may issue certificates, RFC 8659.
type CAA struct {
	Critical   bool   // a CA that does not understand Tag must not issue
	Tag, Value string // Tag in lower case
}

// CAA finds the CAA records that count for a name, with or without "*.": its
// own, or else those of the nearest ancestor that has any (RFC 8659, section
// 3). at is where they were found; without any it is empty, and everybody may
// issue. An error means that a CA could not find out either, and must refuse.
func (c Checker) CAA(ctx context.Context, name string) (records []CAA, at string, err error) {
	c = c.bounded()
	name = dns.CanonicalName(strings.TrimPrefix(name, "*."))
	for i, end := 0, false; !end; i, end = dns.NextLabel(name, i) {
		in, err := c.resolve(ctx, name[i:], dns.TypeCAA)
		if err != nil {
			return nil, "", fmt.Errorf("looking for CAA: %w", err)
		}
		for _, rr := range in.Answer {
			if caa, ok := rr.(*dns.CAA); ok {
				records = append(records, CAA{caa.Flag&128 != 0, strings.ToLower(caa.Tag), caa.Value})
			}
		}
		if len(records) > 0 {
			return records, name[i:], nil
		}
	}
	return nil, "", nil
}
