package discover

// splitStories: several addresses.
var splitStories = []story{
	{
		name: "split brain", spec: "3: one request is made, to any of the addresses",
		zone: "@ IN A {1}\n@ IN A {2}\nmatrix IN A {3}\n_matrix-fed._tcp IN SRV 10 0 8448 matrix\n",
		web:  append(wellKnown("matrix.@:443"), site9{addr: "{2}", host: "@"}),
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ must found
			federation/3.2 https:matrix.@:443 sni=matrix.@ accept=matrix.@ host=matrix.@:443 must found when
			federation/4 https:matrix.@:8448 sni=@ accept=@ host=@ must found when`,
		says: "!the addresses of https://@/.well-known/matrix/server serve different documents: {1}: m.server matrix.@:443; {2}: answers 404",
	}, {
		name: "split in two", spec: "3: likewise, two documents",
		zone: "@ IN A {1}\n@ IN A {2}\nmatrix IN A {3}\nold IN A {4}\n",
		web: append(wellKnown("matrix.@:443"), site9{addr: "{2}", host: "@",
			files: map[string]string{"/.well-known/matrix/server": `{"m.server":"old.@:443"}`}}),
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ must found
			federation/3.2 https:matrix.@:443 sni=matrix.@ accept=matrix.@ host=matrix.@:443 must found when
			federation/3.2 https:old.@:443 sni=old.@ accept=old.@ host=old.@:443 must found when
			federation/6 https:@:8448 sni=@ accept=@ host=@ should found default when`,
		says: "!the addresses",
	}, {
		name: "all agree", spec: "3: the same on both, whatever the spaces",
		zone: "@ IN A {1}\n@ IN A {2}\nmatrix IN A {3}\n",
		web: append(wellKnown("matrix.@:443"), site9{addr: "{2}", host: "@",
			files: map[string]string{"/.well-known/matrix/server": `{ "m.server":"MATRIX.@:443" , "x":1}`}}),
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ must found
			federation/3.2 https:matrix.@:443 sni=matrix.@ accept=matrix.@ host=matrix.@:443 must found
			federation/6 https:@:8448 sni=@ accept=@ host=@ should found default when`,
	}, {
		name: "one address elsewhere", spec: "an address that cannot be reached from here may be fine for others",
		zone: "@ IN A {1}\n@ IN AAAA 2001:db8::1\nmatrix IN A {3}\n", web: wellKnown("matrix.@:443"),
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ must found
			federation/3.2 https:matrix.@:443 sni=matrix.@ accept=matrix.@ host=matrix.@:443 must found
			federation/6 https:@:8448 sni=@ accept=@ host=@ should found default when`,
		says: "could not be checked from here: 2001:db8::1",
	}, {
		name: "all elsewhere", spec: "nothing is known of the document: both ways are shown",
		zone: "@ IN A 192.0.2.1\nmatrix IN A {3}\n_matrix-fed._tcp IN SRV 10 0 8448 matrix\n",
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ info undetermined
			federation/4 https:matrix.@:8448 sni=@ accept=@ host=@ must found when`,
		says: "could not be checked from here: 192.0.2.1",
	}, {
		name: "refused by one", spec: "3: an error on one address is an error for those who go there",
		zone: "@ IN A {1}\n@ IN A {9}\nmatrix IN A {3}\n", web: wellKnown("matrix.@:443"),
		want: `well-known/3 https:@:443 sni=@ accept=@ host=@ must found
			federation/3.2 https:matrix.@:443 sni=matrix.@ accept=matrix.@ host=matrix.@:443 must found when
			federation/6 https:@:8448 sni=@ accept=@ host=@ must found default when`,
		says: "!{9}: connection refused",
	},
}
