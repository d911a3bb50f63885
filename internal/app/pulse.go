package app

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"jari/internal/httpapi"
	"jari/internal/keys"
	"jari/internal/notify"
	"jari/internal/pulse"
	"jari/internal/waitingroom"
)

// newMeter is a meter with a key that all instances of the deployment have, and nobody else.
func newMeter(index *keys.Indexer) (*pulse.Meter, error) {
	key, err := index.Hash("pulse")
	if err != nil {
		return nil, err
	}
	return pulse.NewMeter([16]byte(key)), nil
}

// newPulse ties what happens now to those who know it.
func (a *App) newPulse(meter *pulse.Meter, health func() waitingroom.Health) *pulse.Service {
	return pulse.NewService(pulse.Options{
		Pool: a.pool, Redis: a.redis, Clock: a.clock, Log: a.log, Meter: meter, Listeners: a.cfg.LiveListeners,
		Own: func() pulse.Own {
			h, rest, flushes, redis := health(), a.pool.Stat(), a.flushes.Stat(), a.redis.PoolStats()
			return pulse.Own{
				Inside: httpapi.Inside(a.Handler), InsideLimit: a.cfg.RequestsInside,
				Postgres: pulse.Pool{Used: int(rest.AcquiredConns()), Limit: int(rest.MaxConns())},
				Flushes:  pulse.Pool{Used: int(flushes.AcquiredConns()), Limit: int(flushes.MaxConns())},
				Redis:    pulse.Pool{Used: int(redis.TotalConns) - int(redis.IdleConns), Limit: a.cfg.RedisConnections},
				PoolWait: h.PoolWait, Commit: h.Commit, FlushErrors: h.Errors,
			}
		},
		Rooms: a.roomsNow, Places: a.placesNow, Messages: a.messagesNow, Decides: a.rooms.Leads,
	})
}

// StopStreams sends away those who listen to live numbers: they come back, to another instance.
func (a *App) StopStreams() { a.pulse.Stop() }

func (a *App) roomsNow(ctx context.Context) (all []pulse.Room) {
	rooms, err := a.rooms.Rooms(ctx)
	if err != nil {
		return nil // nothing is published, or not known yet
	}
	for _, r := range rooms {
		room := pulse.Room{
			Room: r.Room, Campaign: r.Campaign, State: string(r.State), Rate: r.Rate, MaxActive: r.MaxActive,
			Registered: int64(r.Registered), Issued: int64(r.Issued), Serving: int64(r.Serving), //nolint:gosec // counted by Postgres
			LateIssued: int64(r.LateIssued), LateServing: int64(r.LateServing), Inside: r.Inside, Led: r.Led, //nolint:gosec // the same
		}
		if r.Draw != nil {
			room.DrawLate, room.DrawOverdue = r.Draw.Late, r.Draw.Overdue
		}
		all = append(all, room)
	}
	return all
}

func (a *App) placesNow() map[string]pulse.Places {
	all := map[string]pulse.Places{}
	for campaign, t := range a.slots.Totals() {
		all[campaign] = pulse.Places(t)
	}
	return all
}

func (a *App) messagesNow(ctx context.Context) (pulse.Messages, error) {
	b, err := a.messages.Backlog(ctx)
	return pulse.Messages{
		Waiting: b.Waiting, MostWaiting: notify.MostWaiting, Oldest: b.Oldest, Codes: b.Codes, Gateway: b.Gateway, Rate: a.cfg.SMSRate,
	}, err
}

// now shows what the last look saw to those who collect metrics. It asks no store.
type now struct{ app *App }

func described(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	redisUp         = described("jari_redis_up", "Whether Redis answered a second ago: 1 or 0.")
	redisSeconds    = described("jari_redis_seconds", "How long it took to answer.")
	redisBusy       = described("jari_redis_busy_ratio", "Share of its one processor that Redis used, from 0 to 1.")
	redisMemory     = described("jari_redis_memory_bytes", "Memory that Redis uses.")
	redisMemoryMost = described("jari_redis_memory_limit_bytes", "Memory that it may use; 0 is no limit.")
	redisPool       = described("jari_redis_connections", "Connections of this instance to Redis, in use.")
	redisPoolMost   = described("jari_redis_connections_limit", "Connections of this instance to Redis, at most.")
	postgresUp      = described("jari_postgres_up", "Whether Postgres answered, some seconds ago: 1 or 0.")
	postgresConns   = described("jari_postgres_server_connections", "Connections that the Postgres server has, of everybody.")
	postgresMost    = described("jari_postgres_server_connections_limit", "Connections that it allows.")
	rulesConfirmed  = described("jari_rules_confirmed", "Whether this instance has confirmed the published rules lately enough to place holds: 1 or 0.")
	inside          = described("jari_requests_inside", "Requests that this instance is working on.")
	insideMost      = described("jari_requests_inside_limit", "Requests that it works on at most.")
	messagesWaiting = described("jari_messages_waiting", "Messages of the deployment that wait to be sent; counted to 20,000.")
	messagesOldest  = described("jari_messages_oldest_seconds", "How long the first of them has waited.")
	messagesLine    = described("jari_messages_line_seconds", "How long a message that comes now waits for the gateway's pace, by line: codes or gateway.", "line")
	messagesSettled = described("jari_messages_total", "Messages that this instance worked off, by what became of them.", "state")
	stepsAsked      = described("jari_steps_requests_total", "Requests for a step of the way, by campaign; verifying belongs to none.", "campaign", "step")
	stepsDone       = described("jari_steps_done_total", "Those of them for whom it was done.", "campaign", "step")
	refusals        = described("jari_refusals_total", "Requests that were refused, by the code of the problem.", "code")
	places          = described("jari_places", "Places of a campaign: capacity, booked, held, free.", "campaign", "kind")
	roomState       = described("jari_room_state", "1 for the state that a waiting room is in.", "room", "state")
	roomLed         = described("jari_room_led", "Whether an instance advances the room: 1 or 0.", "room")
	roomNumbers     = described("jari_room_people", "People of a waiting room: registered, issued, serving, late_issued, late_serving, inside.", "room", "kind")
	roomDrawLate    = described("jari_room_draw_late_seconds", "For how long the draw of a waiting room has waited for its value since the announced moment; 0 while nothing waits.", "room")
	roomDrawOverdue = described("jari_room_draw_overdue", "Whether that is longer than JARI_DRAW_PATIENCE: 1 or 0.", "room")
	roomCame        = described("jari_room_admissions_total", "People who came in by this instance.", "room")
)

// Describe names the metrics.
func (now) Describe(names chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		redisUp, redisSeconds, redisBusy, redisMemory, redisMemoryMost, redisPool, redisPoolMost, postgresUp, postgresConns, postgresMost,
		rulesConfirmed, inside, insideMost, messagesWaiting, messagesOldest, messagesLine, messagesSettled, stepsAsked, stepsDone, refusals,
		places, roomState, roomLed, roomNumbers, roomDrawLate, roomDrawOverdue, roomCame,
	} {
		names <- d
	}
}

// Collect tells them as of the last look.
func (n now) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	counter := func(d *prometheus.Desc, value int64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	n.app.pulse.Meter.Totals(pulse.Totals{
		Step: func(campaign string, step pulse.Step, requests, done int64) {
			counter(stepsAsked, requests, campaign, string(step))
			counter(stepsDone, done, campaign, string(step))
		},
		Refusal: func(code string, n int64) { counter(refusals, n, code) },
		Came:    func(room string, n int64) { counter(roomCame, n, room) },
		Message: func(state string, n int64) { counter(messagesSettled, n, state) },
	})
	own := n.app.pulse.Own()
	gauge(inside, float64(own.Inside))
	gauge(insideMost, float64(own.InsideLimit))
	gauge(redisPool, float64(own.Redis.Used))
	gauge(redisPoolMost, float64(own.Redis.Limit))
	gauge(rulesConfirmed, oneIf(n.app.campaigns.Confirmed() == nil))
	last, ok := n.app.pulse.Latest()
	if !ok {
		return
	}
	gauge(redisUp, oneIf(last.Redis.Reachable))
	if r := last.Redis; r.Reachable {
		gauge(redisSeconds, r.RoundTrip.Seconds())
		gauge(redisBusy, r.Share)
		gauge(redisMemory, float64(r.MemoryBytes))
		gauge(redisMemoryMost, float64(r.MemoryLimit))
	}
	gauge(postgresUp, oneIf(last.Postgres.Reachable))
	if p := last.Postgres; p.Reachable {
		gauge(postgresConns, float64(p.Connections))
		gauge(postgresMost, float64(p.Limit))
	}
	if m := last.Messages; m != nil {
		gauge(messagesWaiting, float64(m.Waiting))
		gauge(messagesOldest, m.Oldest.Seconds())
		gauge(messagesLine, m.Codes.Seconds(), "codes")
		gauge(messagesLine, m.Gateway.Seconds(), "gateway")
	}
	for _, c := range last.Campaigns {
		for kind, n := range map[string]int64{"capacity": c.Places.Capacity, "booked": c.Places.Booked, "held": c.Places.Held, "free": c.Places.Free} {
			gauge(places, float64(n), c.Campaign, kind)
		}
		for _, r := range c.Rooms {
			gauge(roomState, 1, r.Room, r.State)
			gauge(roomLed, oneIf(r.Led), r.Room)
			gauge(roomDrawLate, r.DrawLate.Seconds(), r.Room)
			gauge(roomDrawOverdue, oneIf(r.DrawOverdue), r.Room)
			for kind, n := range map[string]int64{
				"registered": r.Registered, "issued": r.Issued, "serving": r.Serving, "late_issued": r.LateIssued,
				"late_serving": r.LateServing, "inside": int64(r.Inside),
			} {
				if n >= 0 {
					gauge(roomNumbers, float64(n), r.Room, kind)
				}
			}
		}
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
