package status

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// A Fleet is what this machine knows of the fleet that it is a node of.
type Fleet struct {
	Alive, Away int  // nodes
	Behind      int  // nodes that have not verified a release that they may deploy
	EngineUp    bool // the engine can be used
	Seated      bool // this node orders for all
}

// fleetMetrics appear in a fleet only.
type fleetMetrics struct {
	once             sync.Once
	nodes            *prometheus.GaugeVec
	behind, up, seat prometheus.Gauge
}

// Fleet sets the figures of the fleet. With the first call their metrics appear.
func (m *Metrics) Fleet(f Fleet) {
	g := &m.fleet
	g.once.Do(func() {
		gauge := func(name, help string) prometheus.Gauge {
			return prometheus.NewGauge(prometheus.GaugeOpts{Name: prefix + name, Help: help})
		}
		g.nodes = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + "fleet_nodes", Help: "Nodes of the fleet, as this one sees them."}, []string{"state"})
		g.behind = gauge("fleet_nodes_behind", "Nodes that have not verified a certificate that they may deploy.")
		g.up = gauge("fleet_engine_up", "Whether the engine of the fleet can be used.")
		g.seat = gauge("fleet_seat", "Whether this node orders for the fleet.")
		m.registry.MustRegister(g.nodes, g.behind, g.up, g.seat)
	})
	g.nodes.WithLabelValues("alive").Set(float64(f.Alive))
	g.nodes.WithLabelValues("away").Set(float64(f.Away))
	g.behind.Set(float64(f.Behind))
	g.up.Set(boolValue(f.EngineUp))
	g.seat.Set(boolValue(f.Seated))
}
