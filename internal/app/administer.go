package app

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/audit"
	"jari/internal/campaign"
	"jari/internal/clock"
	"jari/internal/config"
	"jari/internal/postgres"
	"jari/internal/staff"
)

// Office is what the commands of administrators work with: Postgres alone, without serving anything.
type Office struct {
	pool      *pgxpool.Pool
	cfg       config.Config
	Campaigns *campaign.Service
	Staff     *staff.Service
	Audit     *audit.Log
	Clock     clock.Clock
}

// OpenOffice opens Postgres for a command.
func OpenOffice(ctx context.Context, cfg config.Config) (*Office, error) {
	pool, err := postgres.Open(ctx, string(cfg.PostgresURL), postgres.Options{
		MaxConnections: 4, ConnectTimeout: cfg.PostgresConnectTimeout,
	})
	if err != nil {
		return nil, err
	}
	clk := clock.NewSystem(cfg.ClockOffset)
	return &Office{
		pool: pool, cfg: cfg, Clock: clk,
		Campaigns: campaign.NewService(pool, clk, cfg.RulesConfirmed, slog.New(slog.DiscardHandler)),
		Staff:     staff.NewService(pool, clk, cfg.Environment),
		Audit:     audit.NewLog(pool, clk, slog.New(slog.DiscardHandler), nil),
	}, nil
}

// CommandLead is how far ahead a version that a command publishes must take effect. A command doesn't know how recently
// the servers must have confirmed the versions, so it goes by the longest that a server may be configured with.
const CommandLead = config.MaxRulesConfirmed + campaign.LeadMargin

// Close gives the connections back.
func (o *Office) Close() { o.pool.Close() }

// Rollback publishes the document of an earlier version again, as the next one.
func (o *Office) Rollback(ctx context.Context, id string, version int64, effectiveAt time.Time) (campaign.Version, bool, error) {
	d, err := o.Campaigns.DocumentOf(ctx, id, version)
	if err != nil {
		return campaign.Version{}, false, err
	}
	return o.Campaigns.Publish(byCommand(ctx), campaign.Publication{
		Document: d, EffectiveAt: effectiveAt, By: campaign.ByCommand, RollbackOf: version,
	})
}

// CreateKey makes a key of an administrator; text is the key itself, for the only time. site is "campaign/site" for a
// clinic's key and empty for all others.
func (o *Office) CreateKey(ctx context.Context, name, role, site string, lifetime time.Duration) (text string, key staff.Key, err error) {
	campaignID, siteID, _ := strings.Cut(site, "/")
	return o.Staff.Create(byCommand(ctx), staff.NewKey{
		Name: name, Role: staff.Role(role), Campaign: campaignID, Site: siteID, Lifetime: lifetime,
	})
}

// RevokeKey ends a key of an administrator.
func (o *Office) RevokeKey(ctx context.Context, id string) (staff.Key, error) {
	return o.Staff.Revoke(byCommand(ctx), id)
}

// byCommand is the context of what a command does: the audit says so.
func byCommand(ctx context.Context) context.Context { return audit.With(ctx, audit.Command, "") }

// VerifyAudit chains what waits for its place and verifies the whole audit, against a head that was kept outside if one is
// given.
func (o *Office) VerifyAudit(ctx context.Context, kept string) (audit.Verified, error) {
	var head *audit.Head
	if kept != "" {
		h, err := audit.ParseHead(kept)
		if err != nil {
			return audit.Verified{}, err
		}
		head = &h
	}
	if err := o.Audit.Chain(ctx); err != nil {
		return audit.Verified{}, err
	}
	return o.Audit.Verify(ctx, head)
}
