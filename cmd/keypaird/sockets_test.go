package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"keypaird/renew/testutil"
)

// opens matches the functions of net, and of what is built on it, that open sockets or look
// names up.
var opens = regexp.MustCompile(`^(Dial(|er|IP|TCP|TLS|UDP|Unix|Timeout|Context|WithDialer)|Listen(|IP|MulticastUDP|Packet|TCP|UDP|Unix|AndServe|AndServeTLS)|` +
	`File(Listener|PacketConn)|DefaultResolver|Lookup(Addr|CNAME|Host|IP|IPAddr|MX|NetIP|NS|Port|SRV|TXT)|Resolve(IP|TCP|UDP|Unix)Addr|` +
	`Exchange(|Context)|DefaultClient|DefaultTransport|Socket|SendMail)$`)

// packages matches what is of a package that opens sockets, where fields have such names, too.
var packages = regexp.MustCompile(`^(net|tls|dns|unix|syscall)\.`)

// opening are the only places in keypaird's own packages, beside package sockets, where
// something of such a name stands; each with the reason.
var opening = map[string]string{
	"acme/responder/front/serve.go front.Listen":        "wraps a socket",
	"acme/tlsalpn01/handshake.go bounded.Listen":        "wraps a socket",
	"acme/transport/server.go http.DefaultTransport":    "is copied, and dials by sockets.Dial",
	"acme/transport/server.go t.DialContext":            "is set to what dials by sockets.Dial",
	"cmd/keypaird/daemon/page.go responder.Listen":      "uses sockets.Listen",
	"cmd/keypaird/daemon/page.go unixsocket.Listen":     "uses sockets.Listen",
	"cmd/keypaird/imports/deploy.go probe.Dial":         "uses sockets.Dial, to servers of this machine",
	"cmd/keypaird/initial/render.go probe.Dial":         "uses sockets.Dial",
	"cmd/keypaird/listener/channel.go net.FileListener": "in the listener, which is confined before it begins",
	"cmd/keypaird/preflight/server.go probe.Dial":       "uses sockets.Dial",
}

// TestSockets: in the program that holds keys, package sockets opens all sockets and looks
// all names up, so that none is opened before the process is confined.
func TestSockets(t *testing.T) {
	out, err := exec.Command("go", "list", "-tags", "lean", "-deps", "-f", `{{with .Module}}{{if .Main}}{{$.Dir}}{{range $.GoFiles}} {{.}}{{end}}{{end}}{{end}}`, "keypaird/cmd/keypaird").Output()
	testutil.Must(t, err)
	root, err := filepath.Abs("../..")
	testutil.Must(t, err)
	found := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		for _, name := range fields[min(1, len(fields)):] {
			path, err := filepath.Rel(root, filepath.Join(fields[0], name))
			testutil.Must(t, err)
			if filepath.Dir(path) == "renew/sockets" {
				continue
			}
			for _, use := range socketUses(t, filepath.Join(root, path)) {
				found[path+" "+use] = true
			}
		}
	}
	for use := range found {
		if opening[use] == "" {
			t.Errorf("%s may open a socket before the process is confined: use package renew/sockets", use)
		}
	}
	for use := range opening {
		if !found[use] {
			t.Errorf("%s is gone: remove it here", use)
		}
	}
}

// socketUses lists the selectors in a file that may open sockets, and HTTP clients and
// transports that do not say how they dial.
func socketUses(t *testing.T, path string) (uses []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	testutil.Must(t, err)
	called := map[ast.Expr]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			for of, key := range map[string]string{"http.Client": "Transport", "http.Transport": "DialContext"} {
				if spelled(n.Type) == of && !slices.ContainsFunc(n.Elts, func(e ast.Expr) bool {
					kv, ok := e.(*ast.KeyValueExpr)
					return ok && spelled(kv.Key) == key
				}) {
					uses = append(uses, of+" without "+key)
				}
			}
		case *ast.CallExpr:
			called[n.Fun] = true
		case *ast.SelectorExpr:
			name := spelled(n)
			if field := slices.Contains([]string{"Listen", "Socket", "Exchange"}, n.Sel.Name); field && !called[n] && !packages.MatchString(name) {
				return true
			}
			if opens.MatchString(n.Sel.Name) && !strings.HasPrefix(name, "sockets.") && name != "net.Dialer" {
				uses = append(uses, name)
			}
		}
		return true
	})
	return uses
}

// spelled returns an identifier, or a selector of one.
func spelled(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		if of := spelled(e.X); of != "" {
			return of + "." + e.Sel.Name
		}
		return "(...)." + e.Sel.Name
	}
	return ""
}
