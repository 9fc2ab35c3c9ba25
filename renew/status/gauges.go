package status

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics is for Prometheus. Without a document there are still the counts, and
// a gauge that says so.
func (s *Server) metrics(w http.ResponseWriter, req *http.Request) {
	doc, err := s.look(req.Context())
	g := gauges{prometheus.NewRegistry()}
	readable := g.vec("state_readable", "Whether the state on disk could be read: without it, nothing is known of targets.")
	readable(truth(err == nil))
	if err == nil {
		s.Metrics.expect(doc)
		g.targets(doc)
		g.orders(doc)
		g.externals(doc)
		g.deployments(doc)
	}
	promhttp.HandlerFor(prometheus.Gatherers{s.Metrics.registry, g.registry}, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelError), ErrorHandling: promhttp.ContinueOnError,
	}).ServeHTTP(w, req)
}

// expect makes the counts of what may happen begin at zero, as the first failure
// would otherwise be no increase.
func (m *Metrics) expect(doc Document) {
	for _, t := range doc.Targets {
		for _, ca := range t.SignWith {
			m.orders.WithLabelValues(valid(ca), success)
			m.orders.WithLabelValues(valid(ca), mishap)
		}
		for _, d := range t.Deployments {
			m.deployments.WithLabelValues(valid(d.Name), success)
			m.deployments.WithLabelValues(valid(d.Name), mishap)
		}
	}
}

// gauges are a document as metrics.
type gauges struct{ registry *prometheus.Registry }

// vec returns what sets the gauge of a name, its labels being those named.
func (g gauges) vec(name, help string, labels ...string) func(value float64, labels ...string) {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + name, Help: help}, labels)
	g.registry.MustRegister(v)
	return func(value float64, labels ...string) {
		for i := range labels {
			labels[i] = valid(labels[i])
		}
		v.WithLabelValues(labels...).Set(value)
	}
}

// targets sets what is told of each target.
func (g gauges) targets(doc Document) {
	instant := func(name, help string) func(t Target, at time.Time) {
		set := g.vec(name, help, "target")
		return func(t Target, at time.Time) {
			if !at.IsZero() {
				set(float64(at.Unix()), t.Name)
			}
		}
	}
	state := g.vec("target_state", "1 for the state a target is in, 0 for the others.", "target", "state")
	action := g.vec("target_action_required", "Whether the operator has to act on a target.", "target")
	healthy := g.vec("target_healthy", "Whether a target has a live certificate that is not overdue.", "target")
	next := instant("target_next_timestamp_seconds", "When something is next done for a target.")
	notBefore := instant("certificate_not_before_timestamp_seconds", "Begin of the live certificate's validity.")
	notAfter := instant("certificate_not_after_timestamp_seconds", "End of the live certificate's validity.")
	overdue := instant("certificate_overdue_timestamp_seconds", "When the live certificate is overdue: it should have been replaced by then.")
	due := instant("certificate_due_timestamp_seconds", "When the newest certificate is to be replaced.")
	issued := instant("certificate_last_success_timestamp_seconds", "When the newest certificate was obtained.")
	from := instant("certificate_renewal_window_start_timestamp_seconds", "Begin of the window in which its CA wants the newest certificate replaced.")
	to := instant("certificate_renewal_window_end_timestamp_seconds", "End of that window.")
	for _, t := range doc.Targets {
		for _, name := range States() {
			state(truth(t.State == name), t.Name, name)
		}
		action(truth(t.ActionRequired != ""), t.Name)
		healthy(truth(t.unhealthy(doc.Time) == ""), t.Name)
		if t.Next.At != nil {
			next(t, *t.Next.At)
		}
		if t.Live != nil {
			notBefore(t, t.Live.NotBefore)
			notAfter(t, t.Live.NotAfter)
		}
		overdue(t, t.OverdueAt)
		if t.Due != nil {
			due(t, *t.Due)
		}
		issued(t, t.Issued)
		if t.Renewal != nil {
			from(t, t.Renewal.Start)
			to(t, t.Renewal.End)
		}
	}
}

// orders sets how ordering fares, by target and CA.
func (g gauges) orders(doc Document) {
	failures := g.vec("order_failures", "How often in a row ordering failed at a CA, while a certificate is wanted.", "target", "ca")
	next := g.vec("order_next_try_timestamp_seconds", "When a CA at which ordering failed may be asked again.", "target", "ca")
	for _, t := range doc.Targets {
		for _, ca := range t.SignWith {
			failures(0, t.Name, ca)
		}
		for _, f := range t.Orders {
			failures(float64(f.Failures), t.Name, f.CA)
			next(float64(f.Next.Unix()), t.Name, f.CA)
		}
	}
}

// externals sets how it fares with the files of bought certificates.
func (g gauges) externals(doc Document) {
	failures := g.vec("external_failures", "How often in a row the files of a bought certificate could not be taken, while they are to be.", "target")
	for _, t := range doc.Targets {
		if t.External == nil {
			continue
		}
		n := 0
		if t.External.Failure != nil {
			n = t.External.Failure.Failures
		}
		failures(float64(n), t.Name)
	}
}

// deployments sets how deploying fares, by target and deployment.
func (g gauges) deployments(doc Document) {
	state := g.vec("deployment_state", "1 for the state a target's deployment is in, 0 for the others.", "target", "deployment", "state")
	failures := g.vec("deployment_failures", "How often in a row deploying failed.", "target", "deployment")
	at := g.vec("deployment_last_success_timestamp_seconds", "When a deployment last succeeded for a target.", "target", "deployment")
	endpoint := g.vec("endpoint_verified", "Whether the newest certificate was seen served at an endpoint.", "target", "deployment", "endpoint")
	for _, t := range doc.Targets {
		for _, d := range t.Deployments {
			for _, name := range DeploymentStates() {
				state(truth(d.State == name), t.Name, d.Name, name)
			}
			n := 0
			if d.Failure != nil {
				n = d.Failure.Failures
			}
			failures(float64(n), t.Name, d.Name)
			if d.At != nil {
				at(float64(d.At.Unix()), t.Name, d.Name)
			}
			for _, e := range d.Endpoints {
				endpoint(truth(e.State == Verified), t.Name, d.Name, e.Endpoint)
			}
		}
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
