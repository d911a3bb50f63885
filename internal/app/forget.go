package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"jari/internal/campaign"
	"jari/internal/keys"
	"jari/internal/privacy"
)

// Forgetting is what forgetting a campaign did, or would do.
type Forgetting struct {
	privacy.Forgotten
	// EndsAt is when the campaign's last slot or wave ends, DueAt from when on it may be forgotten; shown time.
	EndsAt, DueAt time.Time
	Due           bool
}

// PlanForgetting says what ForgetCampaign would do.
func (o *Office) PlanForgetting(ctx context.Context, id string) (f Forgetting, err error) {
	f, order, err := o.forgetting(ctx, id)
	if err == nil {
		f.Forgotten, err = privacy.Plan(ctx, o.pool, order)
	}
	return f, err
}

// ForgetCampaign forgets a campaign whose retention is over, with everybody whom nothing else keeps.
func (o *Office) ForgetCampaign(ctx context.Context, id, reason string) (f Forgetting, err error) {
	f, order, err := o.forgetting(ctx, id)
	if err == nil {
		order.Reason = reason
		f.Forgotten, err = privacy.Forget(ctx, o.pool, o.Audit, order)
	}
	return f, err
}

func (o *Office) forgetting(ctx context.Context, id string) (f Forgetting, order privacy.Order, err error) {
	versions, err := o.Campaigns.Versions(ctx, id)
	if err != nil {
		return f, order, err
	}
	if len(versions) == 0 {
		return f, order, fmt.Errorf("there is no campaign %s", id)
	}
	d, err := o.Campaigns.DocumentOf(ctx, id, versions[0].Number)
	if err != nil {
		return f, order, err
	}
	c, err := campaign.Compile(d, versions[0].Number)
	if err != nil {
		return f, order, err
	}
	if f.EndsAt, err = privacy.LastSlot(ctx, o.pool, id); err != nil {
		return f, order, err
	}
	for _, opening := range c.Openings {
		if opening.ClosesAt.After(f.EndsAt) {
			f.EndsAt = opening.ClosesAt
		}
	}
	f.EndsAt = f.EndsAt.In(c.Location)
	f.DueAt = f.EndsAt.Add(o.cfg.Retention)
	now := o.Clock.Now()
	f.Due = !now.Before(f.DueAt)
	return f, privacy.Order{
		Campaign: id, DueAt: f.DueAt, Now: now,
		// Whoever was verified longer ago has no session any more, with an hour for clocks that differ.
		SeenSince: o.Clock.Real().Add(-o.cfg.SessionLifetime - time.Hour),
		KeepList:  o.cfg.IdentityList,
	}, nil
}

// Reseal seals personal data that is sealed with an older key with the primary one of JARI_DATA_KEYS.
func (o *Office) Reseal(ctx context.Context) (privacy.Resealed, error) {
	sealer, list, err := o.dataKeys()
	if err != nil {
		return privacy.Resealed{}, err
	}
	return privacy.Reseal(ctx, o.pool, sealer, primary(list))
}

// UnderOtherKeys is how many rows are sealed with another key than the primary one of JARI_DATA_KEYS.
func (o *Office) UnderOtherKeys(ctx context.Context) (rows int64, err error) {
	_, list, err := o.dataKeys()
	if err != nil {
		return 0, err
	}
	counts, err := privacy.SealedBy(ctx, o.pool)
	for key, n := range counts {
		if key != primary(list) {
			rows += n
		}
	}
	return rows, err
}

func (o *Office) dataKeys() (*keys.Sealer, []keys.Key, error) {
	line := strings.TrimSpace(string(o.cfg.DataKeys))
	sealer, err := keys.NewSealer(line, o.cfg.Environment, keys.Data)
	if err != nil {
		return nil, nil, fmt.Errorf("JARI_DATA_KEYS %w", err)
	}
	list, err := keys.List(line, o.cfg.Environment, keys.Data)
	return sealer, list, err
}

func primary(list []keys.Key) uint32 {
	for _, k := range list {
		if k.Primary {
			return k.ID
		}
	}
	return 0
}
