package load

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Recorder collects the latencies of operations by name. It is safe for concurrent use.
type Recorder struct {
	mu    sync.Mutex
	names map[string]*hdrhistogram.Histogram // in microseconds
}

// NewRecorder returns an empty recorder.
func NewRecorder() *Recorder { return &Recorder{names: map[string]*hdrhistogram.Histogram{}} }

// Histograms reach from a microsecond to two minutes, with three digits.
const (
	least  = 1
	most   = int64(2 * time.Minute / time.Microsecond)
	digits = 3
)

// Record adds a latency. One that is longer than two minutes counts as two minutes.
func (r *Recorder) Record(name string, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.names[name]
	if h == nil {
		h = hdrhistogram.New(least, most, digits)
		r.names[name] = h
	}
	_ = h.RecordValue(min(max(d.Microseconds(), least), most)) // never out of range
}

// Quantile is the latency that the share q (0 to 1) of the operations of a name stayed below, and 0 when there were none.
func (r *Recorder) Quantile(name string, q float64) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.names[name]
	if h == nil || h.TotalCount() == 0 {
		return 0
	}
	return time.Duration(h.ValueAtQuantile(100*q)) * time.Microsecond
}

// Count is how many latencies of a name were recorded.
func (r *Recorder) Count(name string) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.names[name]; h != nil {
		return h.TotalCount()
	}
	return 0
}
