package dns01

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

const (
	mx    = "_25._tcp.mx1.example.org."
	hashA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	hashB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	soa   = "example.org. 30 IN SOA ns. hostmaster. 1 3600 600 86400 60"
)

func lines(text ...string) []string { return append([]string{soa}, text...) }

// many is that many records, each with the data and a number.
func many(n int, data string) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("%s 5 IN TLSA 3 1 0 %s%02x", mx, data, i))
	}
	return list
}

// texts is what a set has of records.
func texts(records []string) (list []string) {
	for _, r := range records {
		_, text, _ := strings.Cut(r, " TLSA ")
		list = append(list, text)
	}
	return list
}

func TestTLSA(t *testing.T) {
	t.Parallel()
	one := mx + " 600 IN TLSA 3 1 1 " + hashA
	two := mx + " 600 IN TLSA 3 1 1 " + strings.ToUpper(hashB)
	for _, tt := range []struct {
		name     string
		servers  [][]string // nil: silent
		resolver []string
		want     TLSASet
		warn     string
		err      string
	}{
		{"as many as can be kept", [][]string{lines(many(32, hashA)...)}, nil, TLSASet{Records: texts(many(32, hashA)), TTL: time.Minute}, "", ""},
		{"too many", [][]string{lines(many(33, hashA)...)}, nil, TLSASet{}, "", "_25._tcp.mx1.example.org has 33 TLSA records, more than 32"},
		{"too many, at one server each", [][]string{lines(many(20, hashA)...), lines(many(20, hashB)...)}, nil, TLSASet{}, "", "has 40 TLSA records"},
		{"too long", [][]string{lines(many(9, strings.Repeat("ab", 1000))...)}, nil, TLSASet{}, "", "has TLSA records of 18072 bytes, more than 16384"},
		{"both servers show both", [][]string{lines(one, two), lines(two, one)}, nil,
			TLSASet{Records: []string{"3 1 1 " + hashA, "3 1 1 " + hashB}, TTL: 10 * time.Minute}, "", ""},
		{"one lags behind", [][]string{lines(one, two), lines(one)}, nil,
			TLSASet{Records: []string{"3 1 1 " + hashA}, Partly: []string{"3 1 1 " + hashB}, TTL: 10 * time.Minute}, "", ""},
		{"one has none at all", [][]string{lines(one), lines()}, nil,
			TLSASet{Partly: []string{"3 1 1 " + hashA}, TTL: 10 * time.Minute}, "", ""},
		{"there are none", [][]string{lines()}, nil, TLSASet{TTL: time.Minute}, "", ""},
		{"something else is there", [][]string{lines(mx + ` 900 IN TXT "x"`)}, nil, TLSASet{TTL: time.Minute}, "", ""},
		{"one does not answer", [][]string{lines(one), nil}, nil,
			TLSASet{Records: []string{"3 1 1 " + hashA}, TTL: 10 * time.Minute}, "name server skipped", ""},
		{"none answers", [][]string{nil, nil}, nil, TLSASet{}, "", "no answer"},
		{"caches have it for longer", [][]string{lines(one)}, []string{mx + " 86400 IN TLSA 3 1 1 " + hashB},
			TLSASet{Records: []string{"3 1 1 " + hashA}, TTL: 24 * time.Hour}, "", ""},
		{"an alias", [][]string{lines("dane.example.org. 600 IN TLSA 3 1 1 " + hashA)}, []string{mx + " 3600 IN CNAME dane.example.org."},
			TLSASet{Records: []string{"3 1 1 " + hashA}, TTL: time.Hour}, "", ""},
		{"other kinds of records", [][]string{lines(mx+" 5 IN TLSA 2 0 2 "+hashA+hashA, mx+" 5 IN TLSA 3 1 0 3059")}, nil,
			TLSASet{Records: []string{"2 0 2 " + hashA + hashA, "3 1 0 3059"}, TTL: time.Minute}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var servers []*nameServer
			for _, records := range tt.servers {
				s := &nameServer{}
				s.set(t, records...)
				if records == nil {
					s.mode = "silent"
				}
				servers = append(servers, s)
			}
			w := newTestNet(t, servers...)
			var known []string
			for _, rr := range w.resolver.records {
				known = append(known, rr.String())
			}
			w.resolver.set(t, append(known, tt.resolver...)...)
			got, err := w.checker.TLSA(t.Context(), strings.TrimSuffix(mx, "."))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "\n") {
					t.Errorf("error = %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("TLSA = %+v, %v, want %+v", got, err, tt.want)
			}
			if tt.warn == "" && w.warned.Len() > 0 || !strings.Contains(w.warned.String(), tt.warn) {
				t.Errorf("said %q, want %q", w.warned, tt.warn)
			}
		})
	}
}

// Resolvers are all asked, and each has to answer; the word of all of them on
// DNSSEC is what counts.
func TestTLSAResolvers(t *testing.T) {
	one := mx + " 600 IN TLSA 3 1 1 " + hashA
	for _, tt := range []struct {
		name   string
		first  *nameServer
		second *nameServer
		secure bool
		err    bool
	}{
		{"both vouch for it", &nameServer{secure: true}, &nameServer{secure: true}, true, false},
		{"one does not", &nameServer{secure: true}, &nameServer{}, false, false},
		{"the first does not", &nameServer{}, &nameServer{secure: true}, false, false},
		{"one is silent", &nameServer{secure: true}, &nameServer{mode: "silent"}, false, true},
		{"one refers to other servers", &nameServer{secure: true}, &nameServer{mode: "referral"}, false, true},
		{"one knows nothing, and says nothing", &nameServer{mode: "lame", authoritative: true}, &nameServer{secure: true}, false, true},
		{"one answers another question", &nameServer{mode: "other"}, &nameServer{secure: true}, false, true},
		{"DNSSEC is broken", &nameServer{secure: true}, &nameServer{mode: "refused"}, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Checker{Timeout: 100 * time.Millisecond}
			for _, s := range []*nameServer{tt.first, tt.second} {
				s.set(t, lines(one)...)
				c.Resolvers = append(c.Resolvers, serve(t, s, "127.0.0.1", ""))
			}
			got, err := c.TLSA(t.Context(), mx)
			if (err != nil) != tt.err || err == nil && (got.Secure != tt.secure || len(got.Records) != 1) {
				t.Errorf("TLSA = %+v, %v", got, err)
			}
		})
	}
}
