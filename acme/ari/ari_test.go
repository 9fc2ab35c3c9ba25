package ari

import (
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"time"
)

// The certificate of RFC 9773, appendix A.
func TestCertID(t *testing.T) {
	aki := []byte{0x69, 0x88, 0x5b, 0x6b, 0x87, 0x46, 0x40, 0x41, 0xe1, 0xb3, 0x7b, 0x84, 0x7b, 0xa0, 0xae, 0x2c, 0xde, 0x01, 0xc8, 0xd4}
	serial := new(big.Int).SetBytes([]byte{0x87, 0x65, 0x43, 0x21})
	got, err := CertID(&x509.Certificate{AuthorityKeyId: aki, SerialNumber: serial})
	if want := "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"; err != nil || got != want {
		t.Errorf("CertID = %q, %v, want %q", got, err, want)
	}
	if id, err := CertID(&x509.Certificate{SerialNumber: serial}); err == nil {
		t.Errorf("CertID without an authority key identifier = %q, want an error", id)
	}
}

func TestParse(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	window := func(start, end string) string {
		return `{"suggestedWindow":{"start":"` + start + `","end":"` + end + `"},"explanationURL":"https://ca/why"}`
	}
	good := window("2026-12-01T00:00:00Z", "2026-12-02T00:00:00+01:00")
	for _, tt := range []struct {
		name  string
		body  string
		again time.Time
		want  time.Duration // until the next question; 0: an error
	}{
		{"good, no Retry-After", good, time.Time{}, 6 * time.Hour},
		{"good", good, now.Add(time.Hour), time.Hour},
		{"asked again at once", good, now.Add(time.Second), time.Minute},
		{"asked again in a month", good, now.Add(30 * 24 * time.Hour), 24 * time.Hour},
		{"empty object", `{}`, time.Time{}, 0},
		{"null", `null`, time.Time{}, 0},
		{"a problem with status 200", `{"type":"x","detail":"y"}`, time.Time{}, 0},
		{"upside down", window("2026-12-02T00:00:00Z", "2026-12-01T00:00:00Z"), time.Time{}, 0},
		{"no time at all", window("2026-12-02T00:00:00Z", "2026-12-02T00:00:00Z"), time.Time{}, 0},
		{"the year 10000 in UTC", window("2026-12-01T00:00:00Z", "9999-12-31T23:59:59-01:00"), time.Time{}, 0},
		{"the year 0 in UTC", window("0001-01-01T00:00:00+01:00", "2026-12-02T00:00:00Z"), time.Time{}, 0},
		{"not a time", window("soon", "later"), time.Time{}, 0},
		{"html", `<html>`, time.Time{}, 0},
		{"cut off", good[:40], time.Time{}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse([]byte(tt.body), tt.again, now)
			if tt.want == 0 {
				if err == nil || strings.Contains(err.Error(), "\n") {
					t.Fatalf("Parse = %v, %v, want an error of one line", got, err)
				}
				return
			}
			if err != nil || !got.End.After(got.Start) || got.Next.Sub(now) != tt.want || got.Explanation != "https://ca/why" {
				t.Errorf("Parse = %+v, %v, want the next question in %s", got, err, tt.want)
			}
		})
	}
}
