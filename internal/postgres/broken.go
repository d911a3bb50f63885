package postgres

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// suspicion has one broken connection make all others suspect. A server that restarts leaves a pool of connections that
// look fine until they are used; without this, each would fail somebody's request. With it the first one does, and the
// rest are asked whether they live before they are handed out.
type suspicion struct{ broken atomic.Int64 } // connections that broke so far

// seen is the name under which a connection knows how many had broken when it was last known to live.
const seen = "jari_seen"

// longIdle is how long a connection may lie idle before it is asked in any case, as it is by the pool's own default.
const longIdle = time.Second

// watch has the pool that is made of cfg be suspicious.
func (s *suspicion) watch(cfg *pgxpool.Config) {
	cfg.AfterConnect = func(_ context.Context, c *pgx.Conn) error {
		c.PgConn().CustomData()[seen] = s.broken.Load()
		return nil
	}
	cfg.BeforeClose = func(c *pgx.Conn) {
		if c.IsClosed() { // not by us: it broke, or a caller left in the middle of something
			s.broken.Add(1)
		}
	}
	cfg.ShouldPing = func(_ context.Context, p pgxpool.ShouldPingParams) bool {
		data, broken := p.Conn.PgConn().CustomData(), s.broken.Load()
		suspect := data[seen] != broken
		data[seen] = broken // it lives, or is thrown away
		return suspect || p.IdleDuration > longIdle
	}
}
