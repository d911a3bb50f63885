package app

import (
	"strconv"
	"testing"

	"jari/internal/config"
	"jari/internal/identity"
)

// What nobody configured keeps the promise, and nobody can configure it away.
func TestAPhonesCodeCantBeGuessed(t *testing.T) {
	t.Parallel()
	const promised = 5e-5
	least := []string{
		"JARI_ENV=development", "JARI_SMS_GATEWAY=inbox", "JARI_POSTGRES_URL=x", "JARI_REDIS_URL=x", "JARI_TOKEN_KEYS=x",
		"JARI_DATA_KEYS=x", "JARI_INDEX_KEYS=x",
	}
	defaults, err := config.Load(least)
	if err != nil {
		t.Fatal(err)
	}
	if p := identity.GuessProbability(defaults.FailuresPerDay); p > promised {
		t.Errorf("by default a code is guessed within 24 hours with %g", p)
	}
	if _, err := config.Load(append(least, "JARI_FAILURES_PER_DAY="+strconv.Itoa(identity.MaxFailuresPerDay))); err != nil {
		t.Error(err)
	}
	if _, err := config.Load(append(least, "JARI_FAILURES_PER_DAY="+strconv.Itoa(identity.MaxFailuresPerDay+1))); err == nil {
		t.Error("more failures may be configured than the promise allows")
	}
}
