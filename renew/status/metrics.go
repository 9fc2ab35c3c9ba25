package status

import (
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"keypaird/renew"
	"keypaird/renew/notify"
)

// Metrics counts what a daemon does, for [Server]. It is a renew.Observer. Its
// labels are names of the configuration and words of ours, so their number is
// bounded whatever a CA answers. Methods may be called concurrently.
type Metrics struct {
	registry *prometheus.Registry

	orders        *prometheus.CounterVec
	orderTime     *prometheus.HistogramVec
	deployments   *prometheus.CounterVec
	deployTime    *prometheus.HistogramVec
	requests      *prometheus.CounterVec
	requestTime   *prometheus.HistogramVec
	notifications *prometheus.CounterVec
	clock         *prometheus.GaugeVec
	passes        prometheus.Counter
	passFailures  prometheus.Counter
	passTime      prometheus.Histogram
	lastPass      prometheus.Gauge
	configuration prometheus.Gauge
}

var _ renew.Observer = (*Metrics)(nil)

// prefix of our names.
const prefix = "keypaird_"

// Results of what is counted.
const (
	success   = "success"
	mishap    = "failure"
	elsewhere = "other" // what we have no word for
)

// NewMetrics returns metrics of a program of this version.
func NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry:      prometheus.NewRegistry(),
		orders:        counts("orders_total", "Tries to obtain a certificate.", "ca", "result"),
		orderTime:     spans("order_duration_seconds", "How long orders took that ended in a certificate.", orderBuckets(), "ca"),
		deployments:   counts("deployments_total", "Runs of a deployment, each for any number of certificates.", "deployment", "result"),
		deployTime:    spans("deployment_duration_seconds", "How long runs of a deployment took that succeeded.", deployBuckets(), "deployment"),
		requests:      counts("acme_requests_total", "Requests to CAs. The code none is for those without an answer.", "ca", "resource", "code"),
		requestTime:   spans("acme_request_duration_seconds", "How long CAs took to answer.", requestBuckets(), "ca", "resource"),
		notifications: counts("notifications_total", "Notifications of the operator.", "event", "result"),
		clock: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: prefix + "clock_difference_seconds", Help: "How far the clock of a CA is ahead of ours, as of its last answer."}, []string{"ca"}),
		passes:       count("passes_total", "Looks of the daemon at its targets."),
		passFailures: count("pass_failures_total", "What failed in passes."),
		passTime: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "pass_duration_seconds", Help: "How long passes took.", Buckets: prometheus.ExponentialBuckets(0.01, 4, 10)}),
		lastPass: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "last_pass_timestamp_seconds", Help: "When the last pass ended; 0 before the first."}),
		configuration: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "configuration_ok", Help: "Whether the last configuration that was to be read again is in use: 0 means that it was refused."}),
	}
	m.configuration.Set(1)
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: prefix + "build_info", Help: "Which program this is; always 1."}, []string{"version", "goversion"})
	build.WithLabelValues(valid(version), runtime.Version()).Set(1)
	m.registry.MustRegister(m.orders, m.orderTime, m.deployments, m.deployTime, m.requests, m.requestTime, m.notifications,
		m.clock, m.passes, m.passFailures, m.passTime, m.lastPass, m.configuration, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, event := range events() {
		m.notifications.WithLabelValues(event, success)
		m.notifications.WithLabelValues(event, mishap)
	}
	return m
}

// Buckets, in seconds. A CA that validates over DNS may take minutes.
func orderBuckets() []float64 { return []float64{0.1, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640} }

func deployBuckets() []float64 { return []float64{0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 20, 40, 80} }

func requestBuckets() []float64 { return []float64{0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40} }

func count(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + name, Help: help})
}

func counts(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, labels)
}

func spans(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: prefix + name, Help: help, Buckets: buckets}, labels)
}

// Ordered counts a try to obtain a certificate at ca.
func (m *Metrics) Ordered(ca string, took time.Duration, err error) {
	m.orders.WithLabelValues(valid(ca), result(err)).Inc()
	if err == nil {
		m.orderTime.WithLabelValues(valid(ca)).Observe(took.Seconds())
	}
}

// Deployed counts a run of a deployment.
func (m *Metrics) Deployed(deployment string, took time.Duration, err error) {
	m.deployments.WithLabelValues(valid(deployment), result(err)).Inc()
	if err == nil {
		m.deployTime.WithLabelValues(valid(deployment)).Observe(took.Seconds())
	}
}

// Request counts a request to ca about a kind of resource, answered with an HTTP
// status, 0 if it was not answered.
func (m *Metrics) Request(ca, resource string, status int, took time.Duration) {
	ca, resource = valid(ca), known(resource, resources())
	m.requests.WithLabelValues(ca, resource, code(status)).Inc()
	if status != 0 {
		m.requestTime.WithLabelValues(ca, resource).Observe(took.Seconds())
	}
}

// Notified counts a notification of the operator, or its failure.
func (m *Metrics) Notified(kind string, err error) {
	m.notifications.WithLabelValues(known(kind, events()), result(err)).Inc()
}

// Clock notes how far the clock of ca is ahead of ours.
func (m *Metrics) Clock(ca string, ahead time.Duration) {
	m.clock.WithLabelValues(valid(ca)).Set(ahead.Seconds())
}

// Passed counts a pass that ended now, and how much failed in it. One that made
// room for another is none.
func (m *Metrics) Passed(took time.Duration, failures int) {
	m.passes.Inc()
	m.passFailures.Add(float64(max(failures, 0)))
	m.passTime.Observe(took.Seconds())
	m.lastPass.SetToCurrentTime()
}

// Configured notes whether the daemon took over what it was told to read.
func (m *Metrics) Configured(ok bool) { m.configuration.Set(truth(ok)) }

func events() []string {
	return []string{string(notify.Failing), string(notify.Expiring), string(notify.Recovered)}
}

// resources are what requests to a CA can be about.
func resources() []string {
	return []string{"directory", "nonce", "account", "order", "authz", "challenge", "finalize", "cert", "renewal-info", "revoke"}
}

// known is word, if it is one of words: a label must not take any value.
func known(word string, words []string) string {
	for _, w := range words {
		if w == word {
			return w
		}
	}
	return elsewhere
}

// code is the label of an HTTP status. What ACME servers do not answer is summed
// up, lest one fills our memory with a thousand statuses.
func code(status int) string {
	switch status {
	case 0:
		return "none"
	case 200, 201, 202, 204, 400, 401, 403, 404, 405, 409, 413, 415, 429, 500, 502, 503, 504:
		return strconv.Itoa(status)
	}
	if status < 100 || status > 599 {
		return elsewhere
	}
	return strconv.Itoa(status/100) + "xx"
}

func result(err error) string {
	if err != nil {
		return mishap
	}
	return success
}

// valid makes a label of what is not UTF-8, which would be refused.
func valid(label string) string { return strings.ToValidUTF8(label, "\uFFFD") }
