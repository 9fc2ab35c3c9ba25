package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"
	"time"

	"keypaird/hooks/probe"
	"keypaird/renew/keypair/pairtest"
	"keypaird/renew/rollover"
	"keypaird/renew/tlsa"
)

// What is held against TLSA records when a key is chosen is what peers are found
// to do when they are looked at.
func TestTLSARulesAgree(t *testing.T) {
	pair, err := pairtest.Issue([]string{"mail.example.org"}, time.Now().Add(-time.Hour), 2*time.Hour)
	try(t, err)
	leaf := pair.Leaf
	sum := func(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
	things := []string{
		sum(leaf.Raw), sum(leaf.RawSubjectPublicKeyInfo), sum(nil), sum(nil) + sum(nil), "abcd",
		hex.EncodeToString(leaf.Raw), hex.EncodeToString(leaf.RawSubjectPublicKeyInfo),
	}
	var list []probe.TLSA
	for usage := range uint8(5) {
		for selector := range uint8(3) {
			for matching := range uint8(4) {
				for _, thing := range things {
					data, err := hex.DecodeString(thing)
					try(t, err)
					list = append(list, probe.TLSA{Usage: usage, Selector: selector, Matching: matching, Data: data})
				}
			}
		}
	}
	other := probe.TLSA{Usage: 3, Selector: 1, Matching: 1, Data: make([]byte, sha256.Size)}
	outcomes := map[bool]int{}
	for _, one := range list {
		for _, set := range [][]probe.TLSA{{one}, {one, other}} {
			if one.Usage == 2 && one.Unusable() == "" {
				continue // of a CA, of which nothing is known when a key is chosen
			}
			var view rollover.RecordSet
			for _, r := range set {
				text := fmt.Sprintf("%d %d %d %x", r.Usage, r.Selector, r.Matching, r.Data)
				if got := tlsa.Usable(text); got != (r.Unusable() == "") {
					t.Errorf("%s can be used: %t, want %t", text, got, !got)
				}
				view.Records = append(view.Records, text)
			}
			found := probe.Check(probe.Result{Chain: []*x509.Certificate{leaf}}, probe.Expect{Now: time.Now(), TLSA: set, Roots: x509.NewCertPool()})
			want := slices.ContainsFunc(found, func(f probe.Issue) bool { return f.Fault == probe.NoTLSA })
			outcomes[want]++
			if got := tlsa.Refuses(view.Records, leaf); got != want {
				t.Errorf("%q refuse: %t, want %t", view.Records, got, want)
			}
		}
	}
	if outcomes[true] == 0 || outcomes[false] == 0 {
		t.Errorf("outcomes %v", outcomes)
	}
}
