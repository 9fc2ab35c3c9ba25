package http01

import (
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"keypaird/renew/testutil"
)

const (
	token   = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
	other   = "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0"
	keyAuth = token + ".9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
)

// tokens is a directory with a live token and what must not be served.
func tokens(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "http-01")
	must(t, os.Mkdir(dir, 0o700))
	must(t, filesIn(dir).Publish(token, keyAuth))
	must(t, os.WriteFile(filepath.Join(filepath.Dir(dir), "secret"), []byte(other+".secret"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "secret"), []byte("secret.secret"), 0o600))
	return dir
}

var must = testutil.Must

func TestResponder(t *testing.T) {
	dir := tokens(t)
	for _, tt := range []struct {
		name   string
		method string
		target string // as it stands in the request line
		status int
	}{
		{"live token", "GET", Path + token, 200},
		{"headers only", "HEAD", Path + token, 200},
		{"with a query", "GET", Path + token + "?x=1", 200},
		{"proxy's way to ask", "GET", "http://a.test" + Path + token, 200},
		{"unknown token", "GET", Path + other, 404},
		{"no token", "GET", Path, 404},
		{"the directory itself", "GET", strings.TrimSuffix(Path, "/"), 404},
		{"elsewhere", "GET", "/" + token, 404},
		{"root", "GET", "/", 404},
		{"more behind it", "GET", Path + token + "/", 404},
		{"two slashes", "GET", Path + "/" + token, 404},
		{"upper-case path", "GET", strings.ToUpper(Path) + token, 404},
		{"encoded letter", "GET", Path + "%65" + token[1:], 404},
		{"encoded path", "GET", "/%2ewell-known/acme-challenge/" + token, 404},
		{"dots", "GET", Path + "../http-01/" + token, 404},
		{"encoded slash", "GET", Path + "..%2fsecret", 404},
		{"encoded dots", "GET", Path + "%2e%2e/secret", 404},
		{"encoded backslash", "GET", Path + "..%5csecret", 404},
		{"NUL", "GET", Path + token + "%00", 404},
		{"file whose name is no token", "GET", Path + "secret", 404},
		{"POST", "POST", Path + token, 405},
		{"DELETE", "DELETE", Path + token, 405},
		{"TRACE", "TRACE", Path + token, 405},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := httptest.NewRequest(tt.method, tt.target, strings.NewReader("echo me"))
			req.Header.Set("X-Echo", "echo me")
			rec := httptest.NewRecorder()
			(Responder{(&Solver{Dir: dir}).Token}).ServeHTTP(rec, req)
			want := ""
			if tt.status == 200 && tt.method == "GET" {
				want = keyAuth
			}
			if got := rec.Body.String(); rec.Code != tt.status || got != want {
				t.Errorf("%d %q, want %d %q", rec.Code, got, tt.status, want)
			}
			for name, values := range rec.Header() {
				if strings.Contains(strings.Join(values, ""), "echo") {
					t.Errorf("%s repeats the request: %q", name, values)
				}
			}
		})
	}
}

// What lies in the directory under the name of a token is served only if it is
// one.
func TestOnlyTokensAreServed(t *testing.T) {
	for _, tt := range []struct {
		name string
		put  func(dir, path string) error
	}{
		{"link to a secret", func(dir, path string) error { return os.Symlink(filepath.Join(dir, "..", "secret"), path) }},
		{"link to a token", func(dir, path string) error { return os.Symlink(token, path) }},
		{"large file", func(_, path string) error {
			return os.WriteFile(path, []byte(other+"."+strings.Repeat("x", 1000)), 0o600)
		}},
		{"empty file", func(_, path string) error { return os.WriteFile(path, nil, 0o600) }},
		{"file of something else", func(_, path string) error { return os.WriteFile(path, []byte("secret"), 0o600) }},
		{"answer to another token", func(_, path string) error { return os.WriteFile(path, []byte(keyAuth), 0o600) }},
		{"directory", func(_, path string) error { return os.Mkdir(path, 0o700) }},
		{"pipe, which would hang a reader", func(_, path string) error { return syscall.Mkfifo(path, 0o600) }},
		{"pipe with a token in it", func(_, path string) error {
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				return err
			}
			fd, err := syscall.Open(path, syscall.O_RDWR, 0) // stays open until the tests end
			if err == nil {
				_, err = syscall.Write(fd, []byte(other+".x"))
			}
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := tokens(t)
			must(t, tt.put(dir, filepath.Join(dir, other)))
			rec := httptest.NewRecorder()
			(Responder{(&Solver{Dir: dir}).Token}).ServeHTTP(rec, httptest.NewRequest("GET", Path+other, nil))
			if rec.Code != http.StatusNotFound || rec.Body.Len() != 0 {
				t.Errorf("%d %q, want 404 and nothing", rec.Code, rec.Body)
			}
		})
	}
}

func TestWrite(t *testing.T) {
	for _, tt := range []struct {
		name, token string
		ok          bool
	}{
		{"token", other, true},
		{"over a link that somebody planted", token, true},
		{"path", "../" + other, false},
		{"hidden", "." + other, false},
		{"empty", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			target := filepath.Join(t.TempDir(), "target")
			must(t, os.WriteFile(target, []byte("untouched"), 0o600))
			must(t, os.Symlink(target, filepath.Join(dir, token)))
			files := filesIn(dir)
			files.Mode = 0o644
			err := files.Publish(tt.token, tt.token+".x")
			if (err == nil) != tt.ok {
				t.Fatalf("write: %v", err)
			}
			if data, _ := os.ReadFile(target); string(data) != "untouched" {
				t.Errorf("wrote through the link: %q", data)
			}
			if !tt.ok {
				return
			}
			if info, err := os.Lstat(filepath.Join(dir, tt.token)); err != nil || info.Mode() != fs.FileMode(0o644) {
				t.Errorf("%v, %v; want a file of mode 0644", info, err)
			}
			if data, err := files.Read(tt.token); err != nil || data != tt.token+".x" {
				t.Errorf("read %q, %v", data, err)
			}
		})
	}
}

func FuzzResponder(f *testing.F) {
	for _, s := range []string{token, "../secret", "%2e%2e%2fsecret", token + "%00", "http-01/../../secret", "?", "#"} {
		f.Add(s)
	}
	dir := filepath.Join(f.TempDir(), "http-01")
	if err := os.Mkdir(dir, 0o700); err != nil {
		f.Fatal(err)
	}
	if err := filesIn(dir).Publish(token, keyAuth); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		req, err := http.NewRequest("GET", "http://a.test"+Path+rest, nil)
		if err != nil {
			return
		}
		rec := httptest.NewRecorder()
		(Responder{(&Solver{Dir: dir}).Token}).ServeHTTP(rec, req)
		body, _ := io.ReadAll(rec.Body)
		if rec.Code != 404 && (string(body) != keyAuth || req.URL.EscapedPath() != Path+token) {
			t.Errorf("%q: %d %q", rest, rec.Code, body)
		}
	})
}
