package app

import (
	"os"
	"runtime/debug"
)

// gcPercent lets the heap grow to five times of what is live before it is collected: what lives is a few dozen megabytes
// of directories and documents, what requests leave behind is gone at once, and collecting at Go's own 100 took a seventh
// of the processor at the rush.
const gcPercent = 400

// Tune sets up the process for serving. GOGC, where an operator has set it, wins.
func Tune() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
