package status

import (
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keypaird/renew/testutil"
)

// A daemon that has done one of everything.
func busyMetrics() *Metrics {
	m := NewMetrics("1.2")
	err := errors.New("no")
	m.Ordered("letsencrypt", 3*time.Second, nil)
	m.Ordered("letsencrypt", time.Second, err)
	m.Deployed("relayd", 200*time.Millisecond, nil)
	m.Deployed("relayd", time.Second, err)
	m.Request("letsencrypt", "order", 201, 70*time.Millisecond)
	m.Request("letsencrypt", "order", 429, 30*time.Millisecond)
	m.Request("letsencrypt", "nonce", 0, 10*time.Second)
	m.Notified("failing", nil)
	m.Notified("failing", err)
	m.Clock("letsencrypt", -90*time.Second)
	m.Passed(2*time.Second, 1)
	m.Passed(time.Second, 0)
	return m
}

// scrape is what Prometheus gets of the desk.
func scrape(t testing.TB, m *Metrics) string {
	t.Helper()
	doc := newDesk(t).document()
	doc.Unconfigured = []Unconfigured{{Name: "old", Certificate: Certificate{NotAfter: now}}}
	doc.Fleet = fleetOfThree()
	s := serving(doc)
	s.Metrics = m
	return get(t, s, "/metrics")
}

// expected is what a scrape of the desk has in it.
func expected() []string {
	return []string{
		`keypaird_build_info{goversion="go`,
		`keypaird_orders_total{ca="letsencrypt",result="success"} 1`,
		`keypaird_orders_total{ca="letsencrypt",result="failure"} 1`,
		`keypaird_orders_total{ca="zerossl",result="failure"} 0`, // before the first, or the first is no increase
		`keypaird_order_duration_seconds_count{ca="letsencrypt"} 1`,
		`keypaird_order_duration_seconds_bucket{ca="letsencrypt",le="2.5"} 0`,
		`keypaird_order_duration_seconds_bucket{ca="letsencrypt",le="5"} 1`,
		`keypaird_deployments_total{deployment="relayd",result="success"} 1`,
		`keypaird_deployments_total{deployment="postfix",result="failure"} 0`,
		`keypaird_deployment_duration_seconds_sum{deployment="relayd"} 0.2`,
		`keypaird_acme_requests_total{ca="letsencrypt",code="201",resource="order"} 1`,
		`keypaird_acme_requests_total{ca="letsencrypt",code="429",resource="order"} 1`,
		`keypaird_acme_requests_total{ca="letsencrypt",code="none",resource="nonce"} 1`,
		`keypaird_acme_request_duration_seconds_count{ca="letsencrypt",resource="order"} 2`,
		`keypaird_notifications_total{event="failing",result="failure"} 1`,
		`keypaird_notifications_total{event="recovered",result="failure"} 0`,
		`keypaird_clock_difference_seconds{ca="letsencrypt"} -90`,
		`keypaird_passes_total 2`,
		`keypaird_pass_failures_total 1`,
		`keypaird_pass_duration_seconds_sum 3`,
		`keypaird_configuration_ok 1`,
		`keypaird_state_readable 1`,
		`keypaird_certificate_not_after_timestamp_seconds{target="fine"} 1.7792784e+09`,
		`keypaird_certificate_not_before_timestamp_seconds{target="fine"} 1.7715024e+09`,
		`keypaird_certificate_due_timestamp_seconds{target="fine"} 1.7766864e+09`,
		`keypaird_certificate_overdue_timestamp_seconds{target="fine"} 1.7779824e+09`,
		`keypaird_certificate_last_success_timestamp_seconds{target="incident"} 1.7715024e+09`,
		`keypaird_certificate_renewal_window_start_timestamp_seconds{target="incident"} 1.7723628e+09`,
		`keypaird_certificate_renewal_window_end_timestamp_seconds{target="incident"} 1.7724528e+09`,
		`keypaird_target_next_timestamp_seconds{target="expired"} 1.7723688e+09`,
		`keypaird_target_state{state="expired",target="expired"} 1`,
		`keypaird_target_state{state="ok",target="expired"} 0`,
		`keypaird_target_action_required{target="two-cas"} 1`,
		`keypaird_target_action_required{target="due"} 0`,
		`keypaird_target_healthy{target="two-cas"} 1`,
		`keypaird_target_healthy{target="never-tried"} 0`,
		`keypaird_order_failures{ca="letsencrypt",target="expired"} 7`,
		`keypaird_order_failures{ca="zerossl",target="two-cas"} 1`,
		`keypaird_order_failures{ca="letsencrypt",target="fine"} 0`,
		`keypaird_order_next_try_timestamp_seconds{ca="letsencrypt",target="expired"} 1.7723688e+09`,
		`keypaird_deployment_state{deployment="relayd",state="verified",target="fine"} 1`,
		`keypaird_deployment_state{deployment="postfix",state="deployed",target="fine"} 1`,
		`keypaird_deployment_state{deployment="relayd",state="unverified",target="not-served"} 1`,
		`keypaird_deployment_state{deployment="relayd",state="pending",target="table-changed"} 1`,
		`keypaird_deployment_state{deployment="relayd",state="verified",target="table-changed"} 0`,
		`keypaird_deployment_failures{deployment="relayd",target="not-served"} 4`,
		`keypaird_deployment_last_success_timestamp_seconds{deployment="relayd",target="fine"} 1.7697744e+09`,
		`keypaird_endpoint_verified{deployment="relayd",endpoint="xmpp-server:127.0.0.1:5269",target="*.served.example"} 1`,
		`keypaird_endpoint_verified{deployment="relayd",endpoint="xmpp-server:127.0.0.1:5269",target="not-served"} 0`,
	}
}

func TestMetrics(t *testing.T) {
	got := scrape(t, busyMetrics())
	for _, want := range expected() {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing", want)
		}
	}
	for _, never := range []string{
		`keypaird_certificate_not_after_timestamp_seconds{target="missing"}`, // nothing is live
		`keypaird_certificate_overdue_timestamp_seconds{target="missing"}`,
		`keypaird_certificate_last_success_timestamp_seconds{target="fine"}`, // not known
		`target="failure-that-is-history"} 4`,
		`ca="gone"`,
	} {
		if strings.Contains(got, never) {
			t.Errorf("%s is there", never)
		}
	}
}

// families are the names of the metrics in a scrape, and of the series that
// histograms make.
func families(scrape string) map[string]bool {
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\w+) (\w+)$`).FindAllStringSubmatch(scrape, -1) {
		names[m[1]] = true
		if m[2] == "histogram" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				names[m[1]+suffix] = true
			}
		}
	}
	return names
}

// Names, types and help are as Prometheus wants them.
func TestMetricsConventions(t *testing.T) {
	check := exec.CommandContext(t.Context(), testutil.Program(t, "promtool"), "check", "metrics")
	got := scrape(t, busyMetrics())
	check.Stdin = strings.NewReader(got)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
	for name := range families(got) {
		if !strings.HasPrefix(name, prefix) && !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			t.Errorf("whose is %s?", name)
		}
	}
}

// series is how many there are, without those of Go and of the process.
func series(scrape string) int {
	n := 0
	for line := range strings.Lines(scrape) {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	return n
}

// Whatever CAs answer, and whatever else goes wrong, does not make the metrics
// grow without bounds.
func TestMetricsBounded(t *testing.T) {
	m := busyMetrics()
	for i := range 2000 {
		m.Request("letsencrypt", fmt.Sprintf("resource-%d\x1b\n\"", i), i-100, time.Second)
		m.Notified(fmt.Sprintf("kind-%d", i), errors.New(hostile))
		m.Ordered("letsencrypt", time.Second, fmt.Errorf("%d %s", i, hostile))
	}
	s := serving(Document{Time: now})
	s.Metrics = m
	got := get(t, s, "/metrics")
	if n := series(got); n > 200 {
		t.Errorf("%d series", n)
	}
	if strings.Contains(got, "kind-") || strings.Contains(got, "resource-") {
		t.Error("a label takes any value")
	}
	for _, code := range []string{"1xx", "2xx", "3xx", "4xx", "5xx", "other", "none", "200", "503"} {
		if !strings.Contains(got, `code="`+code+`"`) {
			t.Errorf("there is no code %s", code)
		}
	}
}

// A label that Prometheus would refuse does not stop the rest, or us.
func TestMetricsLabels(t *testing.T) {
	odd := "\xff\"\\\n{}"
	m := NewMetrics(odd)
	m.Ordered(odd, time.Second, nil)
	m.Deployed(odd, time.Second, nil)
	m.Request(odd, odd, 200, time.Second)
	m.Clock(odd, time.Second)
	s := serving(Document{Time: now, Targets: []Target{{
		Name: odd, SignWith: []string{odd}, Orders: []Failure{{CA: odd, Failures: 1}},
		Deployments: []Deployment{{Name: odd, Endpoints: []Endpoint{{Endpoint: odd, State: odd}}}},
	}}})
	s.Metrics = m
	got := get(t, s, "/metrics")
	if want := `keypaird_endpoint_verified{deployment="` + "\uFFFD" + `\"\\\n{}",endpoint="` + "\uFFFD" + `\"\\\n{}",target="`; !strings.Contains(got, want) {
		t.Errorf("%s is not in\n%s", want, got)
	}
}

// A target that is not configured any more is not in the metrics any more.
func TestMetricsForget(t *testing.T) {
	doc := newDesk(t).document()
	s := serving(doc)
	s.Collect = func() (Document, error) { return doc, nil }
	if !strings.Contains(get(t, s, "/metrics"), `target="fine"`) {
		t.Fatal("there is no target fine")
	}
	doc.Targets = slices.DeleteFunc(doc.Targets, func(t Target) bool { return t.Name == "fine" })
	s.at = time.Time{}
	if strings.Contains(get(t, s, "/metrics"), `target="fine"`) {
		t.Error("target fine is still there")
	}
}

// Counting and scraping at once is safe: the race detector looks on.
func TestMetricsTogether(t *testing.T) {
	m := NewMetrics("1.2")
	s := serving(newDesk(t).document())
	s.Metrics = m
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				m.Ordered("letsencrypt", time.Second, nil)
				m.Deployed("relayd", time.Second, nil)
				m.Request("letsencrypt", "order", 200, time.Second)
				m.Notified("failing", nil)
				m.Clock("letsencrypt", time.Second)
				m.Passed(time.Second, 0)
			}
		})
		all.Go(func() { get(t, s, "/metrics") })
	}
	all.Wait()
	s.at = time.Time{} // as a second later
	if got := get(t, s, "/metrics"); !strings.Contains(got, `keypaird_orders_total{ca="letsencrypt",result="success"} 400`) {
		t.Error("not all is counted")
	}
}
