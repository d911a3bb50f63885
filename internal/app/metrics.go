package app

import (
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"jari/internal/audit"
	"jari/internal/slot"
)

// observeFlushes measures the group commit.
func observeFlushes(registry *prometheus.Registry) func(rows int, took time.Duration, err error) {
	rows := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "jari_flush_rows", Help: "Bookings confirmed by one transaction.",
		Buckets: prometheus.ExponentialBuckets(1, 2, 11),
	})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "jari_flush_seconds", Help: "Time of one transaction that confirms bookings, by outcome.",
		Buckets: prometheus.ExponentialBuckets(.0005, 2, 15),
	}, []string{"outcome"})
	registry.MustRegister(rows, seconds)
	for _, outcome := range []string{"committed", "failed"} {
		seconds.WithLabelValues(outcome) // from 0 on, so that an alert sees the first that fails
	}
	return func(n int, took time.Duration, err error) {
		outcome := "committed"
		if err != nil {
			outcome = "failed"
		}
		rows.Observe(float64(n))
		seconds.WithLabelValues(outcome).Observe(took.Seconds())
	}
}

// observeSweeps shows what comparing the copies in Redis with Postgres found.
func observeSweeps(registry *prometheus.Registry) func(slot.Sweep) {
	slots := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "jari_sweep_slots", Help: "Slots whose copies this instance compared with Postgres in its last sweep.",
	})
	drift := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "jari_sweep_drift", Help: "Copies that were older than their slot in that sweep; 0 at rest.",
	})
	seconds := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "jari_sweep_seconds", Help: "How long that sweep took.",
	})
	registry.MustRegister(slots, drift, seconds)
	return func(s slot.Sweep) {
		slots.Set(float64(s.Slots))
		drift.Set(float64(s.Drift))
		seconds.Set(s.Took.Seconds())
	}
}

// observeAudit shows how far the chain of the audit is, on the instance that makes it. The number only rises: kept by whoever
// collects metrics, it tells when the end of the chain was cut off.
func observeAudit(registry *prometheus.Registry) func(audit.Head, int) {
	number := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "jari_audit_head", Help: "Number of the audit's last link, on the instance that chains; 0 on the others.",
	})
	waiting := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "jari_audit_unchained", Help: "Entries of the audit that this instance still has to chain.",
	})
	registry.MustRegister(number, waiting)
	return func(h audit.Head, unchained int) {
		number.Set(float64(h.Number))
		waiting.Set(float64(unchained))
	}
}

// observePool shows how a pool of Postgres connections does.
func observePool(registry *prometheus.Registry, name string, pool *pgxpool.Pool) {
	for _, g := range []struct {
		name, help string
		value      func(*pgxpool.Stat) float64
	}{
		{"jari_postgres_connections", "Open connections to Postgres.", func(s *pgxpool.Stat) float64 { return float64(s.TotalConns()) }},
		{"jari_postgres_connections_used", "Connections in use.", func(s *pgxpool.Stat) float64 { return float64(s.AcquiredConns()) }},
		{"jari_postgres_connections_limit", "Connections at most.", func(s *pgxpool.Stat) float64 { return float64(s.MaxConns()) }},
		{"jari_postgres_wait_seconds_total", "Time spent waiting for a connection.", func(s *pgxpool.Stat) float64 { return s.AcquireDuration().Seconds() }},
	} {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: g.name, Help: g.help, ConstLabels: prometheus.Labels{"pool": name},
		}, func() float64 { return g.value(pool.Stat()) }))
	}
}

// documents shows how current the public documents are, and what keeping them so costs.
type documents struct{ app *App }

var (
	documentsAge = prometheus.NewDesc("jari_documents_age_seconds",
		"Since when changes haven't been heard of; documents may lack those since then.", []string{"campaign"}, nil)
	documentsMade = prometheus.NewDesc("jari_documents_made_total",
		"Public documents that were made because something in them had changed.", nil, nil)
)

// Describe names the metrics.
func (d documents) Describe(names chan<- *prometheus.Desc) {
	names <- documentsAge
	names <- documentsMade
}

// Collect tells them as of now.
func (d documents) Collect(metrics chan<- prometheus.Metric) {
	for campaign, age := range d.app.slots.Ages() {
		metrics <- prometheus.MustNewConstMetric(documentsAge, prometheus.GaugeValue, age.Seconds(), campaign)
	}
	metrics <- prometheus.MustNewConstMetric(documentsMade, prometheus.CounterValue, float64(d.app.slots.Made()))
}
