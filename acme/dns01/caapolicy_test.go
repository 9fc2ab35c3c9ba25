package dns01

import "testing"

func TestRefusal(t *testing.T) {
	le := Applicant{Issuers: []string{"letsencrypt.org"}, AccountURL: "https://ca/acct/1", Method: "http-01"}
	wild := le
	wild.Wildcard = true
	issue := func(v string) CAA { return CAA{Tag: "issue", Value: v} }
	for _, tt := range []struct {
		name    string
		records []CAA
		a       Applicant
		want    string
	}{
		{"no records", nil, le, ""},
		{"ours", []CAA{issue("letsencrypt.org")}, le, ""},
		{"ours, in capitals and with spaces", []CAA{issue(" LetsEncrypt.ORG ; ")}, le, ""},
		{"another's", []CAA{issue("sectigo.com")}, le, "only sectigo.com may"},
		{"another's and ours", []CAA{issue("sectigo.com"), issue("letsencrypt.org")}, le, ""},
		{"nobody", []CAA{issue(";")}, le, "no CA may issue"},
		{"only mail reports", []CAA{{Tag: "iodef", Value: "mailto:a@b"}}, le, ""},
		{"wildcards forbidden, plain name", []CAA{issue("letsencrypt.org"), {Tag: "issuewild", Value: ";"}}, le, ""},
		{"wildcards forbidden", []CAA{issue("letsencrypt.org"), {Tag: "issuewild", Value: ";"}}, wild, "no CA may issue"},
		{"wildcard by issue", []CAA{issue("letsencrypt.org")}, wild, ""},
		{"our account", []CAA{issue("letsencrypt.org; accounturi=https://ca/acct/1")}, le, ""},
		{"another account", []CAA{issue("letsencrypt.org; accounturi=https://ca/acct/2")}, le, "accounturi is https://ca/acct/2, ours is https://ca/acct/1"},
		{"another account, and another CA", []CAA{issue("letsencrypt.org; accounturi=https://ca/acct/2"), issue("x.org")}, le, "accounturi is https://ca/acct/2, ours is https://ca/acct/1"},
		{"our method", []CAA{issue("letsencrypt.org; validationmethods=dns-01,http-01")}, le, ""},
		{"another method", []CAA{issue("letsencrypt.org; validationmethods=dns-01")}, le, "validationmethods are dns-01, not http-01"},
		{"critical and unknown", []CAA{issue("letsencrypt.org"), {Critical: true, Tag: "future", Value: "x"}}, le, `critical tag "future"`},
		{"CA without a name", []CAA{issue("sectigo.com")}, Applicant{Method: "http-01"}, ""},
		{"nobody, CA without a name", []CAA{issue(";")}, Applicant{Method: "http-01"}, "no CA may issue"},
		{"nobody and others, CA without a name", []CAA{issue(";"), issue("sectigo.com")}, Applicant{Method: "http-01"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Refusal(tt.records, tt.a); got != tt.want {
				t.Errorf("Refusal = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCAARemedy(t *testing.T) {
	a := Applicant{Issuers: []string{"ca.example"}, AccountURL: "https://ca/1", Method: "http-01"}
	for _, tt := range []struct {
		set  CAASet
		want string
	}{
		{CAASet{Owner: "example.org."}, `add this record, or change the one there: example.org. IN CAA 0 issue "ca.example; accounturi=https://ca/1; validationmethods=http-01"`},
		{CAASet{Owner: "cdn.example.net.", Alias: "www.example.org."}, `add this record, or change the one there: cdn.example.net. IN CAA 0 issue "ca.example; accounturi=https://ca/1; validationmethods=http-01"; if cdn.example.net. is not yours to change, replace the CNAME of www.example.org. with addresses and such a CAA record`},
		{CAASet{Owner: "example.org.", Records: []CAA{{Critical: true, Tag: "future"}}}, "remove the record with that tag at example.org., or write 0 in place of 128 for its flags: a CA refuses a critical tag that it does not know"},
	} {
		if got := tt.set.Remedy(a); got != tt.want {
			t.Errorf("remedy %q, want %q", got, tt.want)
		}
	}
}
