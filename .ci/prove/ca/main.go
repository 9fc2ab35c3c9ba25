// Ca is the CA of a proof: Pebble, which validates challenges, under the names that Let's
// Encrypt has. It needs a network namespace of its own, where these names lead to it.
//
//	ca -addr ADDRESS:443 -dns ADDRESS:53 -roots FILE
//
// It writes the roots of its own TLS certificate to a file, and answers there, on
// 127.0.0.1:8080, what a proof wants to know:
//
//	/counts   how many accounts, orders and certificates it has made
//	/root     the root of the chains that it issues, in PEM
//	/due      a POST of a certificate in PEM: from now on it is to be replaced at once
package main

import (
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"keypaird/acme/acmetest"
)

func main() {
	addr := flag.String("addr", "", "`address` of the CA")
	dns := flag.String("dns", "", "`address` of the DNS server that it asks")
	roots := flag.String("roots", "", "`file` for the roots of its own certificate")
	flag.Parse()
	if err := run(*addr, *dns, *roots); err != nil {
		fmt.Fprintln(os.Stderr, "ca:", err)
		os.Exit(1)
	}
}

func run(addr, dns, roots string) error {
	var made counts
	ca, err := acmetest.StartCA(acmetest.Options{
		Addr: addr, DNS: dns, HTTPPort: 80, TLSPort: 443, Dir: filepath.Dir(roots),
		Names:         []string{"acme-v02.api.letsencrypt.org", "acme-staging-v02.api.letsencrypt.org"},
		CAAIdentities: []string{"letsencrypt.org"}, NonceReject: -1, AuthzReuse: -1, Wrap: made.wrap, Log: os.Stderr,
	})
	if err != nil {
		return err
	}
	defer ca.Close()
	if err := os.Rename(ca.Roots, roots); err != nil {
		return err
	}
	http.Handle("/counts", &made)
	http.HandleFunc("/root", func(w http.ResponseWriter, _ *http.Request) { w.Write(ca.RootPEM(0)) })
	http.HandleFunc("POST /due", func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		block, _ := pem.Decode(data)
		if block == nil {
			http.Error(w, "no certificate", http.StatusBadRequest)
			return
		}
		leaf, err := x509.ParseCertificate(block.Bytes)
		if err == nil {
			now := time.Now().UTC()
			err = ca.SetRenewalInfo(leaf, fmt.Sprintf(`{"suggestedWindow":{"start":%q,"end":%q}}`,
				now.Add(-time.Hour).Format(time.RFC3339), now.Format(time.RFC3339)))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	failed := make(chan error, 1)
	go func() { failed <- http.ListenAndServe("127.0.0.1:8080", nil) }()
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, os.Interrupt, syscall.SIGTERM)
	select {
	case err := <-failed:
		return err
	case <-ended:
		return nil
	}
}

// counts are what a CA has made.
type counts struct{ accounts, orders, certificates atomic.Int64 }

func (c *counts) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintf(w, "%d accounts, %d orders, %d certificates\n", c.accounts.Load(), c.orders.Load(), c.certificates.Load())
}

// wrap counts, has Let's Encrypt's path of the directory, and wants to be asked for
// renewal information each minute.
func (c *counts) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		if path == "/directory" {
			r.URL.Path = acmetest.PathDirectory
		}
		a := &answer{ResponseWriter: w, often: strings.HasPrefix(path, acmetest.PathRenewalInfo)}
		next.ServeHTTP(a, r)
		switch {
		case a.status == http.StatusCreated && path == acmetest.PathNewAccount:
			c.accounts.Add(1)
		case a.status == http.StatusCreated && path == acmetest.PathNewOrder:
			c.orders.Add(1)
		case a.status == http.StatusOK && strings.HasPrefix(path, acmetest.PathFinalize):
			c.certificates.Add(1)
		}
	})
}

// An answer is one whose status is known afterwards.
type answer struct {
	http.ResponseWriter
	status int  // 0 before it is sent
	often  bool // with a Retry-After of a minute
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	return a.ResponseWriter.Write(b)
}

func (a *answer) WriteHeader(status int) {
	if a.status = status; a.often {
		a.Header().Set("Retry-After", "60")
	}
	a.ResponseWriter.WriteHeader(status)
}
