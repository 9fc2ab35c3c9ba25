package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"keypaird/acme"
	"keypaird/acme/acmetest"
	"keypaird/renew/testutil"
)

// ca starts a CA. Its URL is $NAME, by default $CA.
func (s *story) ca(_ bool, args []string) {
	f := flag.NewFlagSet("ca", flag.ContinueOnError)
	eab := f.String("eab", "", "ask for the external account `ID=KEY`")
	profiles := f.Bool("profiles", false, "offer classic and shortlived")
	alternates := f.Int("alternates", 0, "offer so many more chains; the root of the last is $NAME_ROOT")
	refuse := f.String("refuse", "", "refuse with `KIND=PROBLEM`, such as order=rateLimited")
	soon := f.Duration("soon", 0, "want the first certificate replaced after so long")
	ahead := f.Duration("ahead", 0, "have a clock that is ahead by so much")
	unfit := f.String("unfit", "", "give certificates with the fault that `FILE` names, if it is there")
	again := f.Bool("again", false, "end the one of this name, and start one in its place that knows nothing")
	cached := f.Bool("cached", false, "have a resolver that caches, and validate again what is ordered again")
	down := f.Bool("down", false, "end at once")
	older := f.Bool("older", false, "offer http-01, dns-01 and tls-alpn-01 alone, for clients that know no others")
	nonces := f.Bool("nonces", false, "accept every nonce, for clients that give up otherwise")
	s.Check(f.Parse(args))
	name := "CA"
	if f.NArg() > 0 {
		name = f.Arg(0)
	}
	o := acmetest.Options{AlternateRoots: *alternates}
	if *nonces {
		o.NonceReject = -1
	}
	if *again {
		o.Addr = s.cas[name].addr()
		s.cas[name].end()
	}
	if id, key, ok := strings.Cut(*eab, "="); ok {
		o.EAB = map[string]string{id: key}
	}
	if *cached {
		var err error
		o.DNS, err = s.startCache()
		s.Check(err)
		o.AuthzReuse = -1
	}
	if *profiles {
		o.Profiles = acmetest.ShortLived()
	}
	if kind, problem, ok := strings.Cut(*refuse, "="); ok {
		o.Wrap = acmetest.Instead(kinds[kind], -1, acmetest.Problem{
			Status: http.StatusTooManyRequests, Type: problem, Detail: "refused by the story", RetryAfter: time.Hour})
	}
	if *soon > 0 {
		o.Wrap = renewSoon(*soon)
	}
	if *unfit != "" {
		o.Wrap = acmetest.Reissue(unfitAs(s.MkAbs(*unfit)))
	}
	if *older {
		o.Wrap = olderChallenges
	}
	if *ahead > 0 {
		o.Wrap = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Date", time.Now().Add(*ahead).UTC().Format(http.TimeFormat))
				next.ServeHTTP(w, r)
			})
		}
	}
	a, err := s.startCA(name, o)
	s.Check(err)
	if *alternates > 0 {
		s.vars[name+"_ROOT"] = commonName(a.RootPEM(*alternates))
	}
	if *down {
		a.end()
	}
	s.publish()
}

// olderChallenges removes the challenges that are younger than RFC 8737.
func olderChallenges(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, acmetest.PathAuthz) {
			next.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		body := answer.Body.Bytes()
		var authz map[string]any
		_ = json.Unmarshal(body, &authz) // or it is a problem
		if list, ok := authz["challenges"].([]any); ok {
			authz["challenges"] = slices.DeleteFunc(list, func(c any) bool {
				challenge, _ := c.(map[string]any)
				return challenge["type"] == acme.DNSPersist01
			})
			body, _ = json.Marshal(authz)
		}
		maps.Copy(w.Header(), answer.Header())
		w.Header().Del("Content-Length")
		w.WriteHeader(answer.Code)
		w.Write(body)
	})
}

// unfitAs gives a certificate the fault that a file names, or none.
func unfitAs(file string) func(*x509.Certificate) bool {
	return func(leaf *x509.Certificate) bool {
		fault, err := os.ReadFile(file)
		if err != nil {
			return false
		}
		now := time.Now()
		switch strings.TrimSpace(string(fault)) {
		case "clients only":
			leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		case "key usage":
			leaf.KeyUsage = x509.KeyUsageCRLSign
		case "CA":
			leaf.IsCA, leaf.BasicConstraintsValid = true, true
		case "critical extension":
			leaf.ExtraExtensions = []pkix.Extension{{Id: []int{1, 3, 6, 1, 4, 1, 99999, 1}, Critical: true, Value: []byte{5, 0}}}
		case "reversed dates":
			leaf.NotBefore, leaf.NotAfter = now.Add(40*time.Minute), now.Add(30*time.Minute)
		case "last day":
			leaf.NotBefore, leaf.NotAfter = now.AddDate(0, 0, -90), now.Add(time.Hour)
		}
		return true
	}
}

// renewSoon is a CA that wants the first certificate it is asked about replaced
// after a while, as in an incident, and leaves the others alone.
func renewSoon(after time.Duration) func(http.Handler) http.Handler {
	var mu sync.Mutex
	var first string
	var start time.Time
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if kindOf(r.URL.Path) != "advice" {
				next.ServeHTTP(w, r)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if first == "" {
				first, start = r.URL.Path, time.Now().UTC().Add(after)
			}
			if r.URL.Path != first {
				next.ServeHTTP(w, r)
				return
			}
			fmt.Fprintf(w, `{"suggestedWindow":{"start":%q,"end":%q},"explanationURL":"https://ca.example.net/incident"}`,
				start.Format(time.RFC3339Nano), start.Add(time.Second).Format(time.RFC3339Nano))
		})
	}
}

// edit changes a file in place, as time or a person would.
func (s *story) edit(_ bool, args []string) {
	text := s.ReadFile(args[0])
	changed := regexp.MustCompile(args[1]).ReplaceAllString(text, args[2])
	if changed == text {
		s.Fatalf("%q is not in %s:\n%s", args[1], args[0], text)
	}
	s.Check(os.WriteFile(s.MkAbs(args[0]), []byte(changed), 0o600))
}

func (s *story) dns(_ bool, args []string) {
	if len(args) == 1 && args[0] == "-lagging" {
		s.Check(s.startSecond())
	} else {
		s.Check(s.startDNS())
	}
	s.publish()
}

func (s *story) record(_ bool, args []string) {
	line := strings.Join(args[1:], " ")
	if file, ok := strings.CutPrefix(line, "@"); ok {
		line = s.ReadFile(file)
	}
	switch args[0] {
	case "add":
		s.Check(s.ns.change(true, line))
	case "remove":
		s.Check(s.ns.change(false, line))
	case "spread":
		list, err := s.ns.txt()
		s.Check(err)
		for _, entry := range list {
			name, value, _ := strings.Cut(entry, " ")
			s.Check(s.second.Add(name + ". 1 IN TXT " + strconv.Quote(value)))
		}
	default:
		s.Fatalf("usage: record add|remove|spread")
	}
}

var storyVariable = regexp.MustCompile(`\$[A-Z][A-Z0-9_]*`)

func (s *story) expand(_ bool, args []string) {
	for _, file := range args {
		text := s.ReadFile(file)
		for range 2 { // $WORLD has variables too
			text = storyVariable.ReplaceAllStringFunc(text, func(v string) string {
				if _, ours := s.vars[v[1:]]; !ours && s.Getenv(v[1:]) == "" {
					return v // it is the shell's, or nginx's
				}
				return s.Getenv(v[1:])
			})
		}
		mode := os.FileMode(0o600)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		path := s.MkAbs(file)
		s.Check(os.WriteFile(path, []byte(text), mode))
		s.Check(os.Chmod(path, mode)) // it was there before
	}
}

func (s *story) otherServer(_ bool, args []string) {
	ln, err := net.Listen("tcp", args[0])
	s.Check(err)
	srv := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: patience}
	go srv.Serve(ln)
	s.later(func() { srv.Close() })
}

func (s *story) stalled(_ bool, _ []string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	s.Check(err)
	s.later(func() { ln.Close() })
	s.Setenv("STALLED", ln.Addr().String())
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go io.Copy(io.Discard, conn)
		}
	}()
}

// caOf parses "-ca NAME" and returns the CA and the other words.
func (s *story) caOf(args []string) (string, *authority, []string) {
	f := flag.NewFlagSet("ca", flag.ContinueOnError)
	name := f.String("ca", "CA", "")
	s.Check(f.Parse(args))
	a := s.cas[*name]
	if a == nil {
		s.Fatalf("no CA %q", *name)
	}
	return *name, a, f.Args()
}

func (s *story) mount(_ bool, args []string) {
	dir := s.MkAbs(args[1])
	switch args[0] {
	case "small":
		s.Check(os.MkdirAll(dir, 0o700))
		s.Check(mountSmall(dir, args[2]))
	case "readonly":
		s.Check(mountReadOnly(dir))
	case "copy":
		scratch := s.file(".mounts", strings.ReplaceAll(dir, "/", "_"))
		s.Check(mountCopy(dir, scratch))
		s.later(func() { unmount(scratch) })
		if dir == "/etc" { // ours was mounted in the one below
			s.Check(os.RemoveAll("/etc/resolv.conf"))
			s.Check(os.WriteFile("/etc/resolv.conf", []byte("nameserver 127.0.0.1\n"), 0o644))
		}
	default:
		s.Fatalf("usage: mount small DIR SIZE|readonly DIR|copy DIR")
	}
	s.later(func() { unmount(dir) })
}

func (s *story) address(_ bool, args []string) {
	if !s.own {
		s.Fatalf("address: say: need own")
	}
	s.Check(s.Exec("ip", "address", "add", args[0]+"/32", "dev", "lo"))
}

func (s *story) unmount(_ bool, args []string) {
	s.Check(unmount(s.MkAbs(args[0])))
}

func (s *story) fill(_ bool, args []string) { s.Check(fillDisk(s.MkAbs(args[0]))) }

func (s *story) at(_ bool, args []string) {
	_, a, args := s.caOf(args)
	if kinds[args[0]] == "" {
		s.Fatalf("no kind of request %q", args[0])
	}
	switch args[1] {
	case "fill":
		dir := s.MkAbs(args[2])
		a.at(args[0], false, func() { fillDisk(dir) })
	default:
		s.Fatalf("usage: at KIND fill DIR")
	}
}

// provider puts a keypaird-dns in place that has a file of the script among its own, as if
// a package of a provider's had it.
func (s *story) provider(_ bool, args []string) {
	dir, err := os.MkdirTemp("", "keypaird-provider-")
	s.Check(err)
	s.later(func() { os.RemoveAll(dir) })
	s.Check(os.Chmod(dir, 0o755))
	source, err := filepath.Abs("../keypaird-dns/" + filepath.Base(args[0]))
	s.Check(err)
	overlay, child := filepath.Join(dir, "overlay"), filepath.Join(dir, "keypaird-dns")
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{source: s.MkAbs(args[0])}})
	s.Check(err)
	s.Check(os.WriteFile(overlay, text, 0o600))
	s.Check(testutil.Build(child, "keypaird-dns", "-overlay", overlay))
	keypaird, err := exec.LookPath("keypaird")
	s.Check(err)
	link := filepath.Join(filepath.Dir(keypaird), "keypaird-dns")
	s.Check(errors.Join(os.Remove(link), os.Symlink(child, link)))
}
