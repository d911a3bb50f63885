package rig

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"

	"github.com/prometheus/procfs"
)

// Facts say what was measured and on what: figures without them mean nothing.
type Facts struct {
	// Revision is the commit of the checkout, with "-dirty" when files differ from it, or "unknown" outside of one.
	Revision string `json:"revision"`
	Go       string `json:"go"`
	System   string `json:"system"`
	CPUs     int    `json:"cpus"`
	Postgres string `json:"postgres"`
	Redis    string `json:"redis"`
}

// Facts asks the checkout, the runtime and the stores.
func (r *Rig) Facts(ctx context.Context) (f Facts, err error) {
	f = Facts{
		Revision: Revision(ctx), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.GOMAXPROCS(0),
	}
	if err := r.Pool.QueryRow(ctx, `SHOW server_version`).Scan(&f.Postgres); err != nil {
		return f, fmt.Errorf("asking Postgres for its version: %w", err)
	}
	info, err := r.Redis.Info(ctx, "server").Result()
	if err != nil {
		return f, fmt.Errorf("asking Redis for its version: %w", err)
	}
	for line := range strings.Lines(info) {
		if version, ok := strings.CutPrefix(line, "redis_version:"); ok {
			f.Redis = strings.TrimSpace(version)
		}
	}
	return f, nil
}

// Revision is the commit of the checkout: see Facts.
func Revision(ctx context.Context) string {
	head, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	name := strings.TrimSpace(string(head))
	changed, err := exec.CommandContext(ctx, "git", "status", "--porcelain").Output()
	if err != nil || len(changed) > 0 {
		name += "-dirty"
	}
	return name
}

// LoadAverage is the machine's over the last minute, and 0 where the system doesn't tell.
func LoadAverage() float64 {
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return 0
	}
	load, err := proc.LoadAvg()
	if err != nil {
		return 0
	}
	return load.Load1
}
