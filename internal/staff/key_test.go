package staff

import (
	"regexp"
	"testing"
)

func TestNoIDLooksLikeAFlag(t *testing.T) {
	t.Parallel()
	for range 1000 {
		if id := newID(); !regexp.MustCompile(`^[A-Z2-7]{16}$`).MatchString(id) {
			t.Fatal(id)
		}
	}
}
