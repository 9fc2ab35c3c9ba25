package fleetrule

import (
	"strings"
	"testing"

	"keypaird/renew/problem"
)

// want is in the error or its remedy; "": there is none.
type row struct{ value, want string }

func compare(t *testing.T, check func(string) error, rows []row) {
	t.Helper()
	for _, tt := range rows {
		err := check(tt.value)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error()+" -> "+problem.Remedy(err), tt.want) {
			t.Errorf("%q: %v -> %s; want %q", tt.value, err, problem.Remedy(err), tt.want)
		}
		if err != nil && problem.Remedy(err) == "" {
			t.Errorf("%q: no remedy", tt.value)
		}
	}
}

func TestEndpoint(t *testing.T) {
	compare(t, Endpoint, []row{
		{"https://10.0.0.1:2379", ""}, {"https://etcd.example.org:2379/", ""}, {"https://[2001:db8::1]:2379", ""},
		{"http://127.0.0.1:2379", ""}, {"http://[::1]:2379", ""}, {"http://localhost:2379", ""},
		{"http://10.0.0.1:2379", "write https://10.0.0.1:2379"},
		{"http://localhost.example.org:2379", "not encrypted"},
		{"https://10.0.0.1", `"https://10.0.0.1:2379"`}, {"https://[2001:db8::1]", `"https://[2001:db8::1]:2379"`},
		{"10.0.0.1:2379", "not the URL"}, {"mx1:2379", "not the URL"}, {"", "not the URL"}, {"https://", "not the URL"}, {"https://a:2379/v3", "not the URL"}, {"https://a:2379?x=1", "not the URL"},
		{"unix:///run/etcd.sock", "not the URL"}, {"postgres://db:5432", "neither https nor http"},
		{"https://root:hunter2@10.0.0.1:2379", "password_file"},
	})
	if err := Endpoint("https://root:hunter2@10.0.0.1:2379"); strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}

func TestPrefix(t *testing.T) {
	compare(t, Prefix, []row{
		{"/keypaird/", ""}, {"/keypaird/example.org/", ""},
		{"keypaird", `"/keypaird/"`}, {"/keypaird", `"/keypaird/"`}, {"keypaird/", `"/keypaird/"`}, {"//keypaird//", `"/keypaird/"`}, {"a/b", `"/a/b/"`},
		{"", "no prefix"}, {"/", "no prefix"}, {"/a//b/", "cannot be"}, {"/a b/", "cannot be"}, {"/\x00/", "cannot be"}, {"/" + strings.Repeat("a", 300) + "/", "cannot be"},
	})
}
