package status

import (
	"bytes"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"keypaird/renew/status/nodes"
)

// metrics serves /metrics. Without a document it contains the counters and a
// gauge that reports the unreadable state.
func (s *Server) metrics() answer {
	if s.Metrics == nil {
		return notFound()
	}
	g := gauges{prometheus.NewRegistry()}
	readable := g.vec("state_readable", "Whether the state on disk could be read; if not, there are no target metrics.")
	readable(boolValue(s.err == nil))
	if s.err == nil {
		s.Metrics.initCounters(s.doc)
		g.targets(s.doc)
		g.orders(s.doc)
		g.externals(s.doc)
		g.deployments(s.doc)
		g.unconfigured(s.doc)
		g.fleet(s.doc.Fleet)
	}
	w := &recorder{header: http.Header{}, status: http.StatusOK}
	promhttp.HandlerFor(prometheus.Gatherers{s.Metrics.registry, g.registry}, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelError), ErrorHandling: promhttp.ContinueOnError,
	}).ServeHTTP(w, &http.Request{Method: http.MethodGet, Header: http.Header{}}) // of no client's choice
	return answer{w.status, w.header.Get("Content-Type"), w.body.Bytes()}
}

// A recorder keeps a response.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

// initCounters starts counters at zero, so that the first failure is an increase.
func (m *Metrics) initCounters(doc Document) {
	for _, t := range doc.Targets {
		for _, ca := range t.SignWith {
			m.orders.WithLabelValues(valid(ca), successResult)
			m.orders.WithLabelValues(valid(ca), failureResult)
		}
		for _, d := range t.Deployments {
			m.deployments.WithLabelValues(valid(d.Name), successResult)
			m.deployments.WithLabelValues(valid(d.Name), failureResult)
		}
	}
}

// gauges exports a document as metrics.
type gauges struct{ registry *prometheus.Registry }

// vec registers a gauge and returns a function that sets it.
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

// targets sets the gauges of each target.
func (g gauges) targets(doc Document) {
	instant := func(name, help string) func(t Target, at time.Time) {
		set := g.vec(name, help, "target")
		return func(t Target, at time.Time) {
			if !at.IsZero() {
				set(float64(at.Unix()), t.Name)
			}
		}
	}
	state := g.vec("target_state", "1 for the current state of a target, 0 for the others.", "target", "state")
	action := g.vec("target_action_required", "Whether the operator has to act on a target.", "target")
	moved := g.vec("target_left_files", "Files of a target that the configuration moved: they are not updated any more, and servers may still use them.", "target")
	healthy := g.vec("target_healthy", "Whether a target has a live certificate that is not overdue.", "target")
	next := instant("target_next_timestamp_seconds", "Time of the next action for a target.")
	notBefore := instant("certificate_not_before_timestamp_seconds", "Begin of the live certificate's validity.")
	notAfter := instant("certificate_not_after_timestamp_seconds", "End of the live certificate's validity.")
	overdue := instant("certificate_overdue_timestamp_seconds", "When the live certificate is overdue: it should have been replaced by then.")
	due := instant("certificate_due_timestamp_seconds", "When a successor of the newest certificate is due.")
	issued := instant("certificate_last_success_timestamp_seconds", "When the newest certificate was obtained.")
	from := instant("certificate_renewal_window_start_timestamp_seconds", "Start of the CA's suggested renewal window for the newest certificate.")
	to := instant("certificate_renewal_window_end_timestamp_seconds", "End of the CA's suggested renewal window for the newest certificate.")
	for _, t := range doc.Targets {
		for _, name := range States() {
			state(boolValue(t.State == name), t.Name, name)
		}
		action(boolValue(t.ActionRequired != ""), t.Name)
		moved(float64(len(t.Left)), t.Name)
		healthy(boolValue(t.unhealthy(doc.Time) == ""), t.Name)
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

// orders sets the gauges of orders, by target and CA.
func (g gauges) orders(doc Document) {
	failures := g.vec("order_failures", "Consecutive failed orders at a CA, while a certificate is needed.", "target", "ca")
	next := g.vec("order_next_try_timestamp_seconds", "Time of the next order at a CA after a failure.", "target", "ca")
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

// externals sets the gauges of external certificates.
func (g gauges) externals(doc Document) {
	failures := g.vec("external_failures", "Consecutive failed imports of an external certificate's files.", "target")
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

// deployments sets the gauges of deployments, by target and deployment.
func (g gauges) deployments(doc Document) {
	state := g.vec("deployment_state", "1 for the current state of a target's deployment, 0 for the others.", "target", "deployment", "state")
	failures := g.vec("deployment_failures", "Consecutive failed deployments.", "target", "deployment")
	at := g.vec("deployment_last_success_timestamp_seconds", "Time of the last successful deployment of a target.", "target", "deployment")
	endpoint := g.vec("endpoint_verified", "Whether an endpoint served the newest certificate when it was last probed.", "target", "deployment", "endpoint")
	probed := g.vec("endpoint_last_probe_timestamp_seconds", "When an endpoint was last probed.", "target", "deployment", "endpoint")
	for _, t := range doc.Targets {
		for _, d := range t.Deployments {
			for _, name := range DeploymentStates() {
				state(boolValue(d.State == name), t.Name, d.Name, name)
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
				endpoint(boolValue(e.State == Verified), t.Name, d.Name, e.Endpoint)
				if e.At != nil {
					probed(float64(e.At.Unix()), t.Name, d.Name, e.Endpoint)
				}
			}
		}
	}
}

// unconfigured sets the gauges of certificates that are no longer configured.
func (g gauges) unconfigured(doc Document) {
	notAfter := g.vec("unconfigured_certificate_not_after_timestamp_seconds", "End of a certificate that is no longer configured and still deployed.", "target")
	files := g.vec("unconfigured_files", "Files with a certificate that is no longer configured.", "target")
	action := g.vec("unconfigured_action_required", "Whether the operator has to act on a certificate that is no longer configured.", "target")
	for _, u := range doc.Unconfigured {
		notAfter(float64(u.Certificate.NotAfter.Unix()), u.Name)
		files(float64(len(u.Files)), u.Name)
		action(boolValue(u.ActionRequired != ""), u.Name)
	}
}

// fleet sets the gauges of the fleet, if there is one.
func (g gauges) fleet(f *nodes.Fleet) {
	if f == nil {
		return
	}
	count := g.vec("fleet_nodes", "Nodes of the fleet, as this one sees them: one that may not order knows only itself.", "state")
	behind := g.vec("fleet_nodes_behind", "Nodes that have not verified a certificate that they may deploy.")
	up := g.vec("fleet_engine_up", "Whether the engine of the fleet can be used.")
	seat := g.vec("fleet_seat", "Whether this node orders for the fleet.")
	alive, late, seated := 0, 0, false
	for _, n := range f.Nodes {
		if n.Alive {
			alive++
		}
		if n.Behind > 0 {
			late++
		}
		seated = seated || n.Name == f.Node && n.Seated
	}
	count(float64(alive), "alive")
	count(float64(len(f.Nodes)-alive), "away")
	behind(float64(late))
	up(boolValue(f.Error == ""))
	seat(boolValue(seated && f.Error == ""))
}

func boolValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
