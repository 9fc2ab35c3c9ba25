package discover

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// askWho asks the homeservers found for their keys, as peers do, and says which
// of them are not the domain's. The name of the keys is the domain's whatever
// the certificate is for.
func checkKeys(ctx context.Context, l *lookup, s *section) {
	for _, row := range slices.Clone(s.rows) {
		if row.Role != "federation" || row.State != Found {
			continue
		}
		u := &url.URL{
			Scheme: "https", Path: "/_matrix/key/v2/server",
			Host: hostPort(row.Accept[0], row.Endpoint.Port),
		}
		doc := fetchEach(ctx, l, s, row, u, readKeys)
		for _, v := range doc.Visits {
			what := row.Endpoint.String() + " on " + v.Addr.String()
			complain, doubt := s.fail, s.doubt
			if row.Enforcement != Must { // most peers go elsewhere
				complain, doubt = s.warn, s.warn
			}
			switch {
			case v.State == Undetermined, v.Status == 0 && row.Default:
				doubt("look again from elsewhere", "%s could not be asked for its keys: %s", what, v.Why)
			case v.State != Found:
				complain("check the proxy in front of the homeserver", "%s does not give the keys of a homeserver for %s: %s", what, row.HostHeader, v.Why)
			case v.Says != l.name.String():
				complain("check where the records and documents lead", "%s is the homeserver of %s, not of %s", what, v.Says, l.name)
			}
		}
	}
}

// askVersions does as clients do with the base URL they were given.
func checkVersions(ctx context.Context, l *lookup, s *section, base *url.URL) {
	u := base.JoinPath("_matrix/client/versions")
	port, _ := portOf(base)
	at := l.addresses(ctx, base.Hostname())
	row := Requirement{Endpoint: Place{"https", base.Hostname(), port}, Addrs: at.addrs}
	doc := fetchEach(ctx, l, s, row, u, readVersions)
	for _, v := range doc.Visits {
		switch v.State {
		case Undetermined:
			s.warn("look again from elsewhere", "%s could not be asked on %s: %s", u, v.Addr, v.Why)
		case Absent:
			s.fail("check base_url and the proxy in front of the homeserver", "%s on %s: clients stop with an error: %s", u, v.Addr, v.Why)
		}
	}
}

// fetchEach gets a URL from every address of a row.
func fetchEach(ctx context.Context, l *lookup, s *section, row Requirement, u *url.URL, read reader) *Document {
	if len(row.Addrs) == 0 {
		return &Document{Service: s.service, URL: u.String(), State: row.State, Why: row.Why}
	}
	return s.keep(l.documentAt(ctx, row.Addrs, errand{url: u, host: row.HostHeader, most: maxDocument}, read))
}

// readKeys reads whose keys they are. Signatures are the peers' business.
func readKeys(p page) (string, any, error) {
	if p.status != http.StatusOK {
		return "", nil, errStatus(p.status)
	}
	fields, err := object(p.body)
	var name string
	if err != nil || json.Unmarshal(fields["server_name"], &name) != nil {
		return "", nil, errors.New(`no "server_name" in it`)
	}
	if _, err := ParseServerName(name); err != nil {
		return "", nil, err
	}
	return name, name, nil
}

// readVersions reads the list of versions a client looks for.
func readVersions(p page) (string, any, error) {
	if p.status != http.StatusOK {
		return "", nil, errStatus(p.status)
	}
	fields, err := object(p.body)
	var versions []string
	if err != nil || json.Unmarshal(fields["versions"], &versions) != nil || len(versions) == 0 {
		return "", nil, errors.New(`no "versions" in it`)
	}
	return strconv.Itoa(len(versions)) + " versions", versions, nil
}
