package dns01

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"keypaird/acme"
)

func TestRecent(t *testing.T) {
	const fqdn = "_acme-challenge.example.org."
	one := acme.Challenge{Order: "https://ca.example/order/1"}
	two := acme.Challenge{Order: "https://ca.example/order/2"}
	for _, tt := range []struct {
		name string
		what func(r, next *Recent) time.Time
		want time.Duration // from the end
	}{
		{"nothing before", func(r, _ *Recent) time.Time { return r.clearAt(one, fqdn, 5*time.Second) }, 0},
		{"another order", func(r, _ *Recent) time.Time {
			r.begin(one, fqdn, 60*time.Second)(60 * time.Second)
			return r.clearAt(two, fqdn, 5*time.Second)
		}, 62 * time.Second},
		{"at another CA", func(r, _ *Recent) time.Time {
			r.begin(one, fqdn, 60*time.Second)(60 * time.Second)
			return r.clearAt(acme.Challenge{Order: "https://ca.example:444/order/2"}, fqdn, 5*time.Second)
		}, 0},
		{"at another name", func(r, _ *Recent) time.Time {
			r.begin(one, fqdn, 60*time.Second)(60 * time.Second)
			return r.clearAt(two, "_acme-challenge.example.net.", 5*time.Second)
		}, 0},
		{"that goes on", func(r, _ *Recent) time.Time {
			r.begin(one, fqdn, 60*time.Second)
			time.Sleep(50 * time.Second)
			return r.clearAt(two, fqdn, 60*time.Second)
		}, 62 * time.Second},
		{"long ago", func(r, _ *Recent) time.Time {
			r.begin(one, fqdn, 120*time.Second)(120 * time.Second)
			time.Sleep(123 * time.Second)
			return r.clearAt(two, fqdn, 120*time.Second)
		}, 0},
		{"a TTL of an hour", func(r, _ *Recent) time.Time {
			r.begin(one, fqdn, time.Hour)(time.Hour)
			return r.clearAt(two, fqdn, time.Hour)
		}, 122 * time.Second},
		{"no TTL", func(r, _ *Recent) time.Time {
			r.begin(one, fqdn, 0)(0)
			return r.clearAt(two, fqdn, 0)
		}, 0},
		{"the same order, which is validated", func(r, _ *Recent) time.Time {
			r.begin(one, fqdn, 60*time.Second)
			return r.clearAt(one, fqdn, 60*time.Second)
		}, 0},
		{"the same order, one after the other", func(r, _ *Recent) time.Time {
			r.begin(one, fqdn, 60*time.Second)(60 * time.Second)
			return r.clearAt(one, fqdn, 60*time.Second)
		}, 62 * time.Second},
		{"the next process", func(r, next *Recent) time.Time {
			r.begin(one, fqdn, 60*time.Second)(60 * time.Second)
			time.Sleep(10 * time.Second)
			return next.clearAt(two, fqdn, 5*time.Second)
		}, 52 * time.Second},
		{"the next process, the one before killed", func(r, next *Recent) time.Time {
			r.begin(one, fqdn, 60*time.Second)
			return next.clearAt(two, fqdn, 5*time.Second)
		}, 62 * time.Second},
		{"a check that asks no CA", func(r, _ *Recent) time.Time {
			r.begin(one, fqdn, 60*time.Second)(60 * time.Second)
			return r.clearAt(acme.Challenge{}, fqdn, 5*time.Second)
		}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "dns-01.json")
			synctest.Test(t, func(t *testing.T) {
				at := tt.what(&Recent{Path: path}, &Recent{Path: path})
				if got := max(time.Until(at), 0); got != tt.want {
					t.Errorf("waits %v, want %v", got, tt.want)
				}
			})
		})
	}
}
