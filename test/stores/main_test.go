//go:build unix

package main

import (
	"os"
	"testing"
)

func TestTheCommandsExitStatusIsPassedOn(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]int{
		"exit 0":                       0,
		"exit 7":                       7,
		"kill -9 $$":                   128 + 9,
		`[ "$HANDED" = on ] || exit 1`: 0,
	} {
		code, err := command(t.Context(), []string{"/bin/sh", "-c", script}, append(os.Environ(), "HANDED=on"))
		if err != nil || code != want {
			t.Errorf("%s: %d (%v), want %d", script, code, err, want)
		}
	}
	if code, err := command(t.Context(), []string{"/no/such/command"}, nil); err == nil || code == 0 {
		t.Errorf("a missing command gives %d and %v", code, err)
	}
}
