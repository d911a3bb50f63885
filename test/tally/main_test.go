package main

import (
	"strings"
	"testing"
)

func TestOutcomesAreCountedTruthfully(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		events string
		want   outcomes
	}{
		"nothing ran": {events: "", want: outcomes{}},
		"tests and subtests count, packages don't": {
			events: `{"Action":"run","Package":"p","Test":"A"}
{"Action":"pass","Package":"p","Test":"A/b"}
{"Action":"pass","Package":"p","Test":"A"}
{"Action":"skip","Package":"p","Test":"C"}
{"Action":"pass","Package":"p"}
{"Action":"skip","Package":"without-tests"}
`, want: outcomes{passed: 2, skipped: 1},
		},
		"a failed test and its package are one failure": {
			events: `{"Action":"fail","Package":"p","Test":"A"}
{"Action":"fail","Package":"p"}`, want: outcomes{failed: 1},
		},
		"a package that doesn't build is a failure": {
			events: `{"Action":"build-output","ImportPath":"p","Output":"x"}
{"Action":"build-fail","ImportPath":"p"}
{"Action":"fail","Package":"p"}`, want: outcomes{failed: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := count(strings.NewReader(c.events))
			if err != nil || got != c.want {
				t.Errorf("got %+v (%v), want %+v", got, err, c.want)
			}
		})
	}
	if _, err := count(strings.NewReader("not json")); err == nil {
		t.Error("a broken file counts")
	}
}
