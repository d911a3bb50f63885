package admin_test

import (
	"net/http"
	"testing"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/internal/localstores"
	"jari/test/jaritest"
	"jari/test/storetest"
)

// Who watches the night hears that a store is away, and since when, instead of hearing nothing.
func TestLiveNumbersGoOnWithoutStores(t *testing.T) {
	t.Parallel()
	stores := storetest.Private(t, localstores.Options{})
	s := jaritest.Start(t, jaritest.WithStores(stores), jaritest.WithEnvironment("JARI_REDIS_TIMEOUT", "500ms"))
	viewer := s.AdminKey(t, "viewer")
	l := listen(t, s, viewer, "")
	l.until("both answer", func(n httpapi.Live) bool { return n.Redis.Reachable && n.Postgres.Reachable && n.Sms != nil })

	if err := stores.Redis().Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	away := l.until("Redis is away", func(n httpapi.Live) bool { return !n.Redis.Reachable })
	if away.Instances != 1 || away.Redis.MemoryBytes != nil || ofCampaign(t, away, s.Campaign).Places.Free == 0 {
		t.Errorf("%+v", away)
	}
	later := l.until("it still is, for longer", func(n httpapi.Live) bool { return !n.Redis.Reachable })
	if before, now := away.At.Sub(away.Redis.Since), later.At.Sub(later.Redis.Since); before < 0 || now <= before {
		t.Errorf("away for %s, and a second later for %s", before, now)
	}
	do(t, s, viewer, http.MethodGet, "/admin/v1/live", nil).Want(t, http.StatusOK)
	if err := stores.Redis().Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.until("Redis is back", func(n httpapi.Live) bool { return n.Redis.Reachable })

	if err := stores.Postgres().Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.until("Postgres is away, and what is in memory is still told", func(n httpapi.Live) bool {
		return !n.Postgres.Reachable && n.Sms == nil && n.Redis.Reachable && ofCampaign(t, n, s.Campaign).Places.Free > 0
	})
	do(t, s, viewer, http.MethodGet, "/admin/v1/live", nil).Want(t, http.StatusServiceUnavailable, fault.CodeStoreUnavailable)
	if err := stores.Postgres().Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.until("Postgres is back", func(n httpapi.Live) bool { return n.Postgres.Reachable && n.Sms != nil })
}
