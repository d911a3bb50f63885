package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"jari/cmd/surge/rig"
)

// roomReport is the outcome of `bench room`: as JSON its fields stay as they are named here.
type roomReport struct {
	// Ratios are of answers per second to those of a server that does nothing and writes the same bytes.
	StatusRatioToEmpty      float64 `json:"status_ratio_to_empty"`
	TicketNewRatioToEmpty   float64 `json:"ticket_new_ratio_to_empty"`
	TicketKnownRatioToEmpty float64 `json:"ticket_known_ratio_to_empty"`
	// ByCPU are the same ratios of what an answer takes of the processors, everybody in this run together: where others take
	// much of the machine, they say more. Null where the system keeps no accounts.
	ByCPU map[string]float64 `json:"ratios_by_cpu"`
	// Memory that a waiting person takes of the server and of Redis, from the fewest to the most that waited.
	ServerBytesPerPerson *float64 `json:"server_bytes_per_person"`
	RedisBytesPerPerson  float64  `json:"redis_bytes_per_person"`
	// OriginMost is how often a second the server was asked for the status, at most, however many waited behind the edge.
	OriginMost float64           `json:"origin_per_s_most"`
	Levels     []roomLevelReport `json:"levels"`
	// Rows are the places of the tickets that were given in the whole run, and Given how many were told.
	Rows  int64 `json:"ticket_rows"`
	Given int64 `json:"tickets_given"`

	CPUShares map[string]map[string]float64 `json:"cpu_shares"`
	conditions
	TookSeconds float64                   `json:"took_s"`
	Parts       map[string]roomPartReport `json:"parts"`
}

// roomLevelReport is what was seen with a number of people waiting.
type roomLevelReport struct {
	People         int64   `json:"people"`
	ServerBytes    int64   `json:"server_rss_bytes"` // 0 where the system doesn't tell
	RedisBytes     int64   `json:"redis_used_bytes"`
	KnownPerSecond float64 `json:"ticket_known_per_s"` // in a short look
	// Wanted is how many requests a second all of these people send, by their positions and the rules of polling.
	Wanted float64 `json:"polls_per_s"`
	// Sample is which share of the people was played, each at their own pace; Sent is what came of it.
	Sample float64 `json:"sampled_share"`
	Sent   float64 `json:"sent_per_s"`
	Late   int64   `json:"sent_late"`
	Origin float64 `json:"origin_per_s"`
}

// roomPartReport is what was measured of one part.
type roomPartReport struct {
	PerSecond      float64 `json:"per_s"`
	Done           int64   `json:"done"`
	Seconds        float64 `json:"seconds"`
	ServerMicros   float64 `json:"server_cpu_us"`
	PostgresMicros float64 `json:"postgres_cpu_us"`
	RedisMicros    float64 `json:"redis_cpu_us"`
	AllMicros      float64 `json:"cpu_us"` // of everybody but others
}

func (p *roomResult) report() roomPartReport {
	micros := func(c rig.CPU) float64 { return ratio(c.Seconds()*1e6, float64(p.done)) }
	return roomPartReport{
		PerSecond: p.perSecond(), Done: p.done, Seconds: p.elapsed.Seconds(),
		ServerMicros: micros(p.accounts.Server), PostgresMicros: micros(p.accounts.Postgres), RedisMicros: micros(p.accounts.Redis),
		AllMicros: micros(p.accounts.ServerAndStores() + p.accounts.Generator),
	}
}

// report counts what is in the tables, too.
func (b *room) report(ctx context.Context, facts rig.Facts) (r roomReport, err error) {
	r = b.summary(facts)
	err = b.rig.Pool.QueryRow(ctx, `
		SELECT count(*) FROM registrations g JOIN rooms r USING (room_no) WHERE r.room_id = $1 AND substr(g.person_id::text, 1, 14) <> '00000000-0000-'`,
		rig.RoomID).Scan(&r.Rows)
	return r, err
}

func (b *room) summary(facts rig.Facts) roomReport {
	r := roomReport{
		conditions: conditions{
			Facts: facts, DurationSeconds: b.Duration.Seconds(), Rounds: b.Rounds, Connections: b.Connections, Client: b.Client,
			Set: append([]string{}, b.Set...),
		},
		Parts: map[string]roomPartReport{}, CPUShares: map[string]map[string]float64{}, Given: b.given.Load(),
	}
	for name, p := range b.parts {
		r.Parts[name] = p.report()
		if b.meter != nil {
			r.CPUShares[name] = p.accounts.Shares(facts.CPUs)
		}
	}
	for _, of := range r.ratios() {
		*of.ratio = ratio(r.Parts[of.part].PerSecond, r.Parts[of.to].PerSecond)
		if b.meter != nil {
			if r.ByCPU == nil {
				r.ByCPU = map[string]float64{}
			}
			r.ByCPU[of.name] = ratio(r.Parts[of.to].AllMicros, r.Parts[of.part].AllMicros)
		}
	}
	for _, l := range b.levels {
		seconds := l.edge.elapsed.Seconds()
		r.Levels = append(r.Levels, roomLevelReport{
			People: l.people, ServerBytes: l.server, RedisBytes: l.redis, KnownPerSecond: l.known.perSecond(),
			Wanted: l.edge.wanted, Sample: l.edge.share, Sent: ratio(float64(l.edge.sent), seconds), Late: l.edge.late,
			Origin: ratio(l.edge.origin, seconds),
		})
		r.OriginMost = max(r.OriginMost, ratio(l.edge.origin, seconds))
	}
	if n := len(b.levels); n > 1 {
		first, last := b.levels[0], b.levels[n-1]
		more := float64(last.people - first.people)
		r.RedisBytesPerPerson = ratio(float64(last.redis-first.redis), more)
		if b.meter != nil {
			each := ratio(float64(last.server-first.server), more)
			r.ServerBytesPerPerson = &each
		}
	}
	return r
}

func (r *roomReport) ratios() []comparison {
	return []comparison{
		{"status_to_empty", roomStatus, roomStatusEmpty, &r.StatusRatioToEmpty},
		{"ticket_new_to_empty", roomNew, roomEmpty, &r.TicketNewRatioToEmpty},
		{"ticket_known_to_empty", roomKnown, roomEmpty, &r.TicketKnownRatioToEmpty},
	}
}

const (
	// mostOrigin is how often a second an edge may ask for a status, which is once, however many wait: a copy is good for a second
	// and is fetched anew while it is still shown. The rest is for a busy machine and the few seconds that are looked at.
	mostOrigin = 3
	// mostBytes is the memory that a waiting person may take of the server and of Redis: none, but for what a process has more
	// or less of at any two moments.
	mostBytes = 16
)

// judge says what of the run breaks a promise.
func (r roomReport) judge() error {
	var faults []error
	if r.Rows != r.Given {
		faults = append(faults, fmt.Errorf("%d tickets were given, and %d places are in the table", r.Given, r.Rows))
	}
	if r.OriginMost > mostOrigin {
		faults = append(faults, fmt.Errorf("the server was asked for the status %.1f times a second through the edge", r.OriginMost))
	}
	if r.RedisBytesPerPerson > mostBytes || (r.ServerBytesPerPerson != nil && *r.ServerBytesPerPerson > mostBytes) {
		faults = append(faults, errors.New("whoever waits takes memory"))
	}
	if len(faults) == 0 {
		return nil
	}
	return brokenPromiseError{errors.Join(faults...)}
}

// print writes the report for people.
func (r roomReport) print(out io.Writer) error {
	r.conditions.print(out, "Waiting", fmt.Sprintf(", %.0f s in all", r.TookSeconds))
	if err := table(out, r.lines); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nOf what a server that does nothing answers: the status %.2f, a ticket for somebody new %.2f, for who has one %.2f.\n",
		r.StatusRatioToEmpty, r.TicketNewRatioToEmpty, r.TicketKnownRatioToEmpty)
	if len(r.ByCPU) > 0 {
		fmt.Fprintf(out, "By processor time: %.2f, %.2f, %.2f.\n",
			r.ByCPU["status_to_empty"], r.ByCPU["ticket_new_to_empty"], r.ByCPU["ticket_known_to_empty"])
	}
	fmt.Fprintln(out)
	if err := table(out, r.levelLines); err != nil {
		return err
	}
	if r.ServerBytesPerPerson != nil {
		fmt.Fprintf(out, "\nA waiting person takes %.2f bytes of the server and %.2f of Redis.", *r.ServerBytesPerPerson, r.RedisBytesPerPerson)
	}
	fmt.Fprintf(out, "\nThrough the edge the server was asked for the status %.1f times a second at most. Of more people than could be played from\n"+
		"here a sample was, spread over the line, each at the pace of their position.\n", r.OriginMost)
	fmt.Fprintf(out, "%d tickets were given in the whole run, warm-ups included, and as many places are in the table: %d.\n", r.Given, r.Rows)
	return nil
}

// lines has a line for each part.
func (r roomReport) lines(t io.Writer) {
	fmt.Fprintln(t, "\tper second\tCPU µs each\tserver\tPostgres\tRedis\t| shares: server\tPostgres\tRedis\tgenerator\tothers\t")
	for _, name := range roomParts {
		p, measured := r.Parts[name]
		if !measured {
			continue
		}
		fmt.Fprintf(t, "%s\t%.0f\t%.1f\t%.1f\t%.1f\t%.1f\t", name, p.PerSecond, p.AllMicros, p.ServerMicros, p.PostgresMicros, p.RedisMicros)
		if s, ok := r.CPUShares[name]; ok {
			for _, who := range []string{"server", "postgres", "redis", "generator", "others"} {
				fmt.Fprintf(t, "%.0f%%\t", 100*s[who])
			}
		}
		fmt.Fprintln(t)
	}
}

// levelLines has a line for each number of people.
func (r roomReport) levelLines(t io.Writer) {
	const mega = 1 << 20
	fmt.Fprintln(t, "people\tserver MiB\tRedis MiB\tknown/s\tpolls/s of all\tsampled\tsent/s\tlate\torigin/s\t")
	for _, l := range r.Levels {
		fmt.Fprintf(t, "%d\t%.1f\t%.1f\t%.0f\t%.0f\t%.2f%%\t%.0f\t%d\t%.2f\t\n", l.People, float64(l.ServerBytes)/mega, float64(l.RedisBytes)/mega,
			l.KnownPerSecond, l.Wanted, 100*l.Sample, l.Sent, l.Late, l.Origin)
	}
}
