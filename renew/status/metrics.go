package status

import (
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"keypaird/renew"
	"keypaird/renew/notify"
	"keypaird/renew/textfmt"
)

// Metrics counts the work of a daemon, for [Server]. It is a renew.Observer. Its
// labels are names from the configuration and fixed words, so that no CA can
// raise their number. Methods may be called concurrently.
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

// prefix of all metric names.
const prefix = "keypaird_"

// Values of result labels.
const (
	successResult = "success"
	failureResult = "failure"
	otherLabel    = "other" // any unknown value
)

// NewMetrics returns the metrics of a program of this version.
func NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry:      prometheus.NewRegistry(),
		orders:        counts("orders_total", "Attempts to obtain a certificate.", "ca", "result"),
		orderTime:     spans("order_duration_seconds", "Duration of successful orders.", orderBuckets(), "ca"),
		deployments:   counts("deployments_total", "Runs of a deployment, each for one or more certificates.", "deployment", "result"),
		deployTime:    spans("deployment_duration_seconds", "Duration of successful deployments.", deployBuckets(), "deployment"),
		requests:      counts("acme_requests_total", "Requests to CAs. The code is none if there was no response.", "ca", "resource", "code"),
		requestTime:   spans("acme_request_duration_seconds", "Response time of CAs.", requestBuckets(), "ca", "resource"),
		notifications: counts("notifications_total", "Notifications sent to the operator.", "event", "result"),
		clock: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: prefix + "clock_difference_seconds", Help: "Difference of the CA's clock to the local clock, at its last response."}, []string{"ca"}),
		passes:       count("passes_total", "Passes of the daemon over its targets."),
		passFailures: count("pass_failures_total", "Failed steps in passes."),
		passTime: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "pass_duration_seconds", Help: "Duration of passes.", Buckets: prometheus.ExponentialBuckets(0.01, 4, 10)}),
		lastPass: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "last_pass_timestamp_seconds", Help: "End of the last pass; 0 before the first."}),
		configuration: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "configuration_ok", Help: "Whether the last configuration reload succeeded: 0 means that it was rejected."}),
	}
	m.configuration.Set(1)
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: prefix + "build_info", Help: "Version of the program; always 1."}, []string{"version", "goversion"})
	build.WithLabelValues(valid(version), runtime.Version()).Set(1)
	m.registry.MustRegister(m.orders, m.orderTime, m.deployments, m.deployTime, m.requests, m.requestTime, m.notifications,
		m.clock, m.passes, m.passFailures, m.passTime, m.lastPass, m.configuration, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, event := range events() {
		m.notifications.WithLabelValues(event, successResult)
		m.notifications.WithLabelValues(event, failureResult)
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

// Ordered counts an attempt to obtain a certificate at ca.
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

// Clock sets the difference of ca's clock to the local clock.
func (m *Metrics) Clock(ca string, ahead time.Duration) {
	m.clock.WithLabelValues(valid(ca)).Set(ahead.Seconds())
}

// Passed counts a pass that ended now and its failures. A pass that yielded to
// another is not counted.
func (m *Metrics) Passed(took time.Duration, failures int) {
	m.passes.Inc()
	m.passFailures.Add(float64(max(failures, 0)))
	m.passTime.Observe(took.Seconds())
	m.lastPass.SetToCurrentTime()
}

// Configured sets whether the last reload succeeded.
func (m *Metrics) Configured(ok bool) { m.configuration.Set(boolValue(ok)) }

func events() []string {
	return []string{string(notify.Failing), string(notify.Expiring), string(notify.Recovered)}
}

// resources lists the ACME resources.
func resources() []string {
	return []string{"directory", "nonce", "account", "order", "authz", "challenge", "finalize", "cert", "renewal-info", "revoke"}
}

// known returns word if it is one of words, else "other": labels are bounded.
func known(word string, words []string) string {
	for _, w := range words {
		if w == word {
			return w
		}
	}
	return otherLabel
}

// code returns the label of an HTTP status. Unusual statuses share a label per
// class, so that a CA cannot exhaust memory.
func code(status int) string {
	switch status {
	case 0:
		return "none"
	case 200, 201, 202, 204, 400, 401, 403, 404, 405, 409, 413, 415, 429, 500, 502, 503, 504:
		return strconv.Itoa(status)
	}
	if status < 100 || status > 599 {
		return otherLabel
	}
	return strconv.Itoa(status/100) + "xx"
}

func result(err error) string {
	if err != nil {
		return failureResult
	}
	return successResult
}

// valid returns label as valid UTF-8, as Prometheus requires, and printable.
func valid(label string) string { return textfmt.Printable(label) }
