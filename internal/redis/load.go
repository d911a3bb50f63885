package redis

import (
	"strconv"
	"strings"
	"time"
)

// Load is how busy a Redis is.
type Load struct {
	// Busy is the processor time that it has used since it started; it has one processor.
	Busy time.Duration
	// MemoryBytes are used, MemoryLimit may be; 0 is no limit.
	MemoryBytes, MemoryLimit int64
	// CommandsPerSecond is over the last moment.
	CommandsPerSecond float64
	Connections       int
}

// ReadLoad reads the answer to INFO. What a server doesn't say is zero.
func ReadLoad(info string) (l Load) {
	for line := range strings.Lines(info) {
		name, value, found := strings.Cut(strings.TrimSpace(line), ":")
		if !found {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			continue
		}
		switch name {
		case "used_cpu_sys", "used_cpu_user":
			l.Busy += time.Duration(n * float64(time.Second))
		case "used_memory":
			l.MemoryBytes = int64(n)
		case "maxmemory":
			l.MemoryLimit = int64(n)
		case "instantaneous_ops_per_sec":
			l.CommandsPerSecond = n
		case "connected_clients":
			l.Connections = int(n)
		}
	}
	return l
}
