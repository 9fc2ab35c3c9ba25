package discover

import (
	"context"
	"strings"
)

// web is the plain web server of a domain, and of "www" if there is one.
func (r *run) web(ctx context.Context, s *section, name ServerName, _ []string) {
	for _, host := range []string{name.Host, "www." + name.Host} {
		row := Requirement{
			Role: "web", CheckedBy: "browsers", Enforcement: Must,
			SNI: host, Accept: []string{host}, HostHeader: host,
			Evidence: []Evidence{{What: "https://" + host + "/", Says: "port 443", Spec: "RFC 9110, 4.2.2 and 4.3.4"}},
		}
		if at := r.addresses(ctx, host); at.state != Found {
			s.none(row, at.state, at.why, at.evidence...)
			if at.state == Absent && host == name.Host && strings.HasSuffix(at.why, "(NXDOMAIN)") {
				s.fail("see that it is spelled right, and registered", "%s", at.why)
			}
			continue
		}
		r.locate(ctx, s, row, "https", host, 443)
	}
}
