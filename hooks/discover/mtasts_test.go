package discover

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// RFC 8461, section 3.1.
func TestSTSRecord(t *testing.T) {
	for _, tt := range []struct{ txt, id string }{
		{"v=STSv1; id=20160831085700Z;", "20160831085700Z"}, // the example there
		{"v=STSv1;id=1", "1"},
		{"v=STSv1 ; id=a ;", "a"},
		{"v=STSv1; x=y; id=b", "b"},
		{"v=STSv1; id=a; id=b;", "a"},
		{"v=STSv1; id=" + strings.Repeat("a", 32) + ";", strings.Repeat("a", 32)},
		{"v=STSv1", ""}, {"v=STSv1;", ""}, {"v=STSv1; x=y;", ""}, {"v=STSv1; id=;", ""}, {"v=STSv1; id=a b;", ""},
		{"v=STSv1; id=a-b;", ""}, {"v=STSv1; id=" + strings.Repeat("a", 33) + ";", ""}, {"v=STSv1; id=a;; ", ""},
		{"v=STSv2; id=a;", ""}, {" v=STSv1; id=a;", ""}, {"V=STSv1; id=a;", ""}, {"v=STSv1; id=a; junk", ""}, {"v=STSv11; id=a;", ""},
	} {
		id, err := parseSTSRecord(tt.txt)
		if id != tt.id || (err == nil) != (tt.id != "") {
			t.Errorf("%q: id %q, %v, want %q", tt.txt, id, err, tt.id)
		}
	}
	if !isSTS("v=STSv1; id=") || isSTS("v=STSv1") || isSTS("v=spf1;") {
		t.Error("wrong records are taken for MTA-STS")
	}
}

// RFC 8461, section 3.2.
func TestPolicy(t *testing.T) {
	const example = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmx: backupmx.example.com\r\nmax_age: 604800\r\n"
	p, err := parsePolicy([]byte(example))
	if err != nil || p.mode != "enforce" || p.maxAge != 7*24*time.Hour || !slices.Equal(p.mx, []string{"mail.example.com", "*.example.net", "backupmx.example.com"}) {
		t.Errorf("the example of the RFC: %+v, %v", p, err)
	}
	for _, tt := range []struct {
		name, text string
		ok         bool
	}{
		{"LF", "version: STSv1\nmode: testing\nmx: A.example\nmax_age: 1", true},
		{"any order", "max_age:1\nmode:none\nversion:STSv1\n", true},
		{"first one counts", "version: STSv1\nmode: none\nmode: nonsense\nmax_age: 1\nmax_age: x\n", true},
		{"unknown field", "version: STSv1\nmode: none\nmax_age: 1\nx-y.z: any text\n", true},
		{"none with mx", "version: STSv1\nmode: none\nmx: a\nmax_age: 1\n", true},
		{"longest", "version: STSv1\nmode: none\nmax_age: 31557600\n", true},
		{"too long", "version: STSv1\nmode: none\nmax_age: 31557601\n", false},
		{"negative", "version: STSv1\nmode: none\nmax_age: -1\n", false},
		{"eleven digits", "version: STSv1\nmode: none\nmax_age: 00000000001\n", false},
		{"no version", "mode: none\nmax_age: 1\n", false},
		{"other version", "version: STSv2\nmode: none\nmax_age: 1\n", false},
		{"no mode", "version: STSv1\nmax_age: 1\n", false},
		{"other mode", "version: STSv1\nmode: Enforce\nmx: a\nmax_age: 1\n", false},
		{"no mx", "version: STSv1\nmode: enforce\nmax_age: 1\n", false},
		{"mx in the middle", "version: STSv1\nmode: enforce\nmx: a.*.example\nmax_age: 1\n", false},
		{"mx star", "version: STSv1\nmode: enforce\nmx: *\nmax_age: 1\n", false},
		{"blank line", "version: STSv1\n\nmode: none\nmax_age: 1\n", false},
		{"no colon", "version STSv1\n", false},
		{"empty", "", false},
		{"html", "<html>", false},
		{"not UTF-8", "version: STSv1\nmode: none\nmax_age: 1\nx: \xff\n", false},
	} {
		if p, err := parsePolicy([]byte(tt.text)); (err == nil) != tt.ok {
			t.Errorf("%s: %+v, %v", tt.name, p, err)
		}
	}
}

// RFC 8461, section 4.1: the left-most label only.
func TestMatches(t *testing.T) {
	for _, tt := range []struct {
		pattern, host string
		want          bool
	}{
		{"mx.example.org", "mx.example.org", true}, {"mx.example.org", "mx2.example.org", false},
		{"*.example.org", "mx.example.org", true}, {"*.example.org", "a.mx.example.org", false},
		{"*.example.org", "example.org", false}, {"*.example.org", "mxexample.org", false},
	} {
		if got := matches(tt.pattern, tt.host); got != tt.want {
			t.Errorf("%s, %s: %v", tt.pattern, tt.host, got)
		}
	}
}

var anID = regexp.MustCompile(`^[A-Za-z0-9]{1,32}$`)

func FuzzSTSRecord(f *testing.F) {
	f.Add("v=STSv1; id=20160831085700Z;")
	f.Add("v=STSv1;x=y ;\tid=a;")
	f.Fuzz(func(t *testing.T, txt string) {
		id, err := parseSTSRecord(txt)
		if err != nil {
			return
		}
		if !anID.MatchString(id) || !isSTS(txt) || !strings.Contains(txt, "id="+id) {
			t.Errorf("%q has the id %q", txt, id)
		}
	})
}

func FuzzPolicy(f *testing.F) {
	f.Add([]byte("version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmax_age: 604800\r\n"))
	f.Add([]byte("version: STSv1\nmode: none\nmax_age: 0"))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := parsePolicy(body)
		if err != nil {
			return
		}
		if !slices.Contains([]string{"enforce", "testing", "none"}, p.mode) || p.maxAge < 0 || p.maxAge > maxPolicyAge*time.Second || len(p.mx) == 0 && p.mode != "none" {
			t.Errorf("%q: %+v", body, p)
		}
		for _, m := range p.mx {
			if !strings.Contains(strings.ToLower(string(body)), m) || m != strings.ToLower(m) {
				t.Errorf("%q: mx %q", body, m)
			}
			matches(m, "mx.example.org")
		}
	})
}
