package discover

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"

	"keypaird/hooks/discover/records"
	"keypaird/hooks/discover/web"
)

// checkKeys asks the homeservers found for their keys, as peers do, and says which
// of them are not the domain's. The name of the keys is the domain's whatever
// the certificate is for.
func checkKeys(ctx context.Context, l *lookup, s *section) {
	for _, row := range slices.Clone(s.rows) {
		if row.Role != "federation" || row.State != records.Found {
			continue
		}
		u := &url.URL{
			Scheme: "https", Path: "/_matrix/key/v2/server",
			Host: records.HostPort(row.Accept[0], row.Endpoint.Port),
		}
		doc := fetchEach(ctx, l, s, row, u, web.IfOK(readKeys))
		for _, v := range doc.Visits {
			what := row.Endpoint.String() + " on " + v.Addr.String()
			complain, doubt := s.fail, s.doubt
			if row.Enforcement != Must { // most peers go elsewhere
				complain, doubt = s.warn, s.warn
			}
			switch {
			case v.State == records.Undetermined, v.Status == 0 && row.Default:
				doubt("look again from elsewhere", "%s could not be asked for its keys: %s", what, v.Why)
			case v.State != records.Found:
				complain("check the proxy in front of the homeserver", "%s does not give the keys of a homeserver for %s: %s", what, row.HostHeader, v.Why)
			case v.Says != l.name.String():
				complain("check where the records and documents lead", "%s is the homeserver of %s, not of %s", what, v.Says, l.name)
			}
		}
	}
}

// checkVersions does as clients do with the base URL they were given.
func checkVersions(ctx context.Context, l *lookup, s *section, base *url.URL) {
	u := base.JoinPath("_matrix/client/versions")
	port, _ := web.PortOf(base)
	at := l.Addresses(ctx, base.Hostname())
	row := Requirement{Endpoint: Place{"https", base.Hostname(), port}, Addrs: at.Addrs}
	doc := fetchEach(ctx, l, s, row, u, web.IfOK(readVersions))
	for _, v := range doc.Visits {
		switch v.State {
		case records.Undetermined:
			s.warn("look again from elsewhere", "%s could not be asked on %s: %s", u, v.Addr, v.Why)
		case records.Absent:
			s.fail("check base_url and the proxy in front of the homeserver", "%s on %s: clients stop with an error: %s", u, v.Addr, v.Why)
		}
	}
}

// fetchEach gets a URL from every address of a row.
func fetchEach(ctx context.Context, l *lookup, s *section, row Requirement, u *url.URL, read web.Parser) *web.Document {
	if len(row.Addrs) == 0 {
		return &web.Document{Service: s.service, URL: u.String(), State: row.State, Why: row.Why}
	}
	return s.keep(l.DocumentAt(ctx, row.Addrs, web.FetchRequest{URL: u, Host: row.HostHeader, MaxBytes: web.MaxDocument}, read))
}

// readKeys reads whose keys they are. Signatures are the peers' business.
func readKeys(body []byte) (string, any, error) {
	fields, err := object(body)
	var name string
	if err != nil || json.Unmarshal(fields["server_name"], &name) != nil {
		return "", nil, errors.New(`no "server_name" in it`)
	}
	if _, err := records.ParseServerName(name); err != nil {
		return "", nil, err
	}
	return name, name, nil
}

// readVersions reads the list of versions a client looks for.
func readVersions(body []byte) (string, any, error) {
	fields, err := object(body)
	var versions []string
	if err != nil || json.Unmarshal(fields["versions"], &versions) != nil || len(versions) == 0 {
		return "", nil, errors.New(`no "versions" in it`)
	}
	return strconv.Itoa(len(versions)) + " versions", versions, nil
}
