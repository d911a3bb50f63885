package redis

import (
	"strings"
	"testing"
)

func TestAServerThatIsTooOldIsRefused(t *testing.T) {
	t.Parallel()
	for version, taken := range map[string]bool{
		"7.0.15": true, "7.2.4": true, "8.0.0": true, "10.1": true, "255.255.255": true,
		"6.2.14": false, "6.3.4": false, "5.0.7": false, "": false, "unstable": false,
	} {
		if err := checkVersion(version); (err == nil) != taken {
			t.Errorf("version %q: %v", version, err)
		} else if err != nil && !strings.Contains(err.Error(), "7.0") {
			t.Errorf("version %q: it isn't said which is needed: %v", version, err)
		}
	}
}
