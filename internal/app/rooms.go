package app

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"jari/internal/audit"
	"jari/internal/campaign"
	"jari/internal/config"
	"jari/internal/token"
	"jari/internal/waitingroom"
)

// rooms makes the waiting rooms of what is published.
func (a *App) newRooms(tokens *token.Box, health func() waitingroom.Health) (*waitingroom.Service, error) {
	values := map[waitingroom.Source]waitingroom.Randomness{waitingroom.Announced: waitingroom.AnnouncedValue{}}
	drand, err := waitingroom.NewDrandValue(waitingroom.Quicknet, a.cfg.DrandURLs, a.clock)
	if err != nil {
		return nil, fmt.Errorf("JARI_DRAND_URLS: %w", err)
	}
	values[waitingroom.Drand] = drand
	if a.cfg.Environment == config.Development {
		values[waitingroom.Local] = waitingroom.LocalValue{}
	}
	return waitingroom.NewService(waitingroom.Options{
		Pool: a.pool, Redis: a.redis, Clock: a.clock, Tokens: tokens, Log: a.log,
		Limits: waitingroom.Limits{Admission: a.cfg.AdmissionLifetime, Longest: a.cfg.AdmissionLongest, Queue: a.cfg.PlacesQueue, DrawPatience: a.cfg.DrawPatience},
		Plans:  a.plans, Health: health, Values: values, Audit: a.auditRoom, CodesWaiting: a.messages.CodesWaiting,
	}), nil
}

// codesRoom is the room in front of sending codes; an inbox takes whatever comes and has none.
func (a *App) codesRoom() string {
	if a.cfg.SMSRate > 0 {
		return waitingroom.CodesRoom
	}
	return ""
}

// plans are the rooms of the campaigns in effect, and the one in front of sending codes.
func (a *App) plans() ([]waitingroom.Plan, error) {
	campaigns, err := a.campaigns.List()
	if err != nil {
		return nil, err
	}
	var plans []waitingroom.Plan
	if a.codesRoom() != "" {
		plans = append(plans, waitingroom.CodesPlan(a.cfg.SMSRate, a.cfg.CodeTurn, a.cfg.CodeLifetime))
	}
	for _, c := range campaigns {
		for _, l := range c.Lines {
			plans = append(plans, roomPlan(c, l))
		}
	}
	return plans, nil
}

func roomPlan(c *campaign.Campaign, l campaign.Line) waitingroom.Plan {
	p := waitingroom.Plan{
		Room: l.FullID, Campaign: c.ID, Waves: l.Waves, RegistrationOpensAt: l.RegistrationOpensAt, FreezesAt: l.FreezesAt,
		OpensAt: l.OpensAt, ClosesAt: l.ClosesAt, ValueAt: l.ValueAt,
		Rate: float64(l.AdmitPerSecond), MaxActive: l.MaxActive, Grace: l.Grace, LateShare: l.LateShare,
	}
	if l.Draw != nil {
		p.Draw = waitingroom.Source(l.Draw.Source)
	}
	for _, at := range []*time.Time{&p.RegistrationOpensAt, &p.FreezesAt, &p.OpensAt, &p.ClosesAt, &p.ValueAt} {
		if !at.IsZero() {
			*at = at.In(c.Location)
		}
	}
	if l.Message != nil {
		p.MessageKo, p.MessageEn = l.Message.Ko, l.Message.En
	}
	return p
}

// checkDraws refuses to serve a draw that nobody could check, which only development may have. A version that is published
// later is refused by publishing.
func (a *App) checkDraws() error {
	plans, err := a.plans()
	if err != nil || a.cfg.Environment == config.Development {
		return err
	}
	for _, p := range plans {
		if p.Draw == waitingroom.Local && a.clock.Now().Before(p.ClosesAt) {
			return fmt.Errorf("the room %s draws by the server's own chance (draw: {source: local}), which is for development only: "+
				"publish the campaign with drand or announced", p.Room)
		}
	}
	return nil
}

// auditRoom writes what happened to a room in the transaction in which it did.
func (a *App) auditRoom(ctx context.Context, tx pgx.Tx, room, action string, by waitingroom.Actor, detail map[string]any) error {
	e := audit.Entry{Actor: audit.System, Act: action, Subject: room, Reason: by.Reason, Details: detail}
	if by.By != waitingroom.BySchedule {
		e.Actor = audit.KeyActor(by.By)
	}
	return a.audit.Append(ctx, tx, e)
}
