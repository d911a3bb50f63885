package rig

import (
	"strings"
	"testing"
	"time"
)

func TestACrowdIsInRegions(t *testing.T) {
	t.Parallel()
	for _, c := range []Crowd{1000, 1050, 4000, 1_000_000, crowdMost} {
		if err := c.Check(); err != nil {
			t.Error(err)
		}
		next := 0
		for r := range c.Regions() {
			from, to := c.Region(r)
			if from != next || to <= from {
				t.Fatalf("of %d slots, region %d has the sites from %d to %d, and should begin with %d", c, r, from, to, next)
			}
			next = to
		}
		if next != c.Sites() || c.Sites()*CrowdPerSite != int(c) {
			t.Errorf("%d slots have %d sites, and %d are in regions", c, c.Sites(), next)
		}
	}
	for _, c := range []Crowd{0, 999, 1001, crowdMost + CrowdPerSite} {
		if c.Check() == nil {
			t.Errorf("a crowd of %d was taken", c)
		}
	}
}

func TestTheFirstRegionIsTheSameInEveryCrowd(t *testing.T) {
	t.Parallel()
	now := time.Now()
	few, many := string(Crowd(1000).files(now)["sites.csv"].Data), string(Crowd(4000).files(now)["sites.csv"].Data)
	if !strings.HasPrefix(many, few) {
		t.Errorf("the sites begin differently")
	}
}

func TestCallsOfRedisAreAddedUp(t *testing.T) {
	t.Parallel()
	got, err := sumOfCalls("# Commandstats\r\ncmdstat_get:calls=21,usec=175,usec_per_call=8.33\r\ncmdstat_config|get:calls=2,usec=1\r\n")
	if err != nil || got != 23 {
		t.Errorf("%d, %v", got, err)
	}
	if _, err := sumOfCalls("cmdstat_get:calls=many,usec=1\r\n"); err == nil {
		t.Error("what isn't a number was read")
	}
}
