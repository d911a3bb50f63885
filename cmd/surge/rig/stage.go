package rig

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing/fstest"
	"time"

	"jari/internal/app"
	"jari/internal/audit"
	"jari/internal/clock"
	"jari/internal/config"
	"jari/internal/staff"
)

// Stage is a campaign with few units, for runs in which places are scarce.
type Stage struct {
	ID          string
	HoldSeconds int
	// Main are that many slots of the given capacity, at one site; at most 24.
	Main, MainCapacity int
	// Pairs are twice that many slots of one unit, and Singles are as many.
	Pairs, Singles int
	// Line, if it isn't nil, is the waiting room that everybody comes through.
	Line *Line
}

// Line is a waiting room with a draw by a value of the server's own. Everybody may register until the freeze.
type Line struct {
	Freezes, Opens time.Time
	// Rate is how many people a second are to come in.
	Rate int
	// Grace is in seconds.
	Grace int
}

// LineID is the id of a stage's waiting room.
func LineID(stage string) string { return stage + ".line" }

// Staged is a published stage. Its people are its own.
type Staged struct {
	ID                   string
	Main, Pairs, Singles []int64
	People               *People
}

// MainSite is the site of a stage's main slots.
const MainSite = "main"

// slotsOfDay are the slots of a site with one each quarter of an hour.
const slotsOfDay = 96

// Stage publishes a further campaign.
func (r *Rig) Stage(ctx context.Context, s Stage) (st Staged, err error) {
	now := time.Now()
	if _, err := app.Publish(ctx, r.Pool, s.files(now), "campaign.yaml", now); err != nil {
		return st, err
	}
	st = Staged{ID: s.ID, People: newPeople(r.Pool, r.Box, s.ID)}
	if s.Line != nil {
		st.People.room, st.People.data = LineID(s.ID), r.data
	}
	for _, kind := range []struct {
		into   *[]int64
		prefix string
		want   int
	}{{&st.Main, MainSite, s.Main}, {&st.Pairs, "pair", 2 * s.Pairs}, {&st.Singles, "single", s.Singles}} {
		if *kind.into, err = slotsAt(ctx, r.Pool, "campaign_id = '"+s.ID+"' AND starts_with(site_id, '"+kind.prefix+"')"); err != nil {
			return st, err
		}
		if len(*kind.into) < kind.want {
			return st, fmt.Errorf("the campaign %s has %d slots at %s, and %d are needed", s.ID, len(*kind.into), kind.prefix, kind.want)
		}
	}
	return st, nil
}

func (s Stage) files(now time.Time) fstest.MapFS {
	day := func(days int) string { return now.AddDate(0, 0, days).UTC().Format(time.DateOnly) }
	instant := func(days int) string { return now.AddDate(0, 0, days).UTC().Format(time.RFC3339) }
	opens, first := instant(-1), instant(0)
	if s.Line != nil {
		opens = s.Line.Opens.UTC().Format(time.RFC3339)
		first = opens
	}
	var sites strings.Builder
	sites.WriteString("site_id,region,name,name_en,address,telephone,latitude,longitude,wheelchair,slot_template\n")
	site := func(id, template string) {
		fmt.Fprintf(&sites, "%s,seoul,예방접종센터 %s,Centre %s,서울특별시 중구 세종대로 110,02-0000-0000,37.5,127.0,yes,%s\n", id, id, id, template)
	}
	site(MainSite, "main")
	for n := range (2*s.Pairs + slotsOfDay - 1) / slotsOfDay {
		site(fmt.Sprintf("pair%02d", n), "pair")
	}
	for n := range (s.Singles + slotsOfDay - 1) / slotsOfDay {
		site(fmt.Sprintf("single%02d", n), "single")
	}
	document := strings.NewReplacer(
		"{ID}", s.ID, "{OPENS}", opens, "{CLOSES}", instant(5), "{NOW}", first, "{FROM}", day(9), "{TO}", day(12),
		"hold_seconds: 300", "hold_seconds: "+strconv.Itoa(s.HoldSeconds),
	).Replace(documentTemplate)
	if s.Line != nil {
		document += fmt.Sprintf(`
rooms:
  - room: line
    waves: [all]
    registration_opens_at: %q
    registration_closes_at: %q
    draw: {source: local}
    admit_per_second: %d
    grace_seconds: %d
`, instant(-1), s.Line.Freezes.UTC().Format(time.RFC3339), s.Line.Rate, s.Line.Grace)
	}
	var templates strings.Builder
	templates.WriteString("templates:\n")
	template := func(name, from, to string, minutes, capacity int) {
		fmt.Fprintf(&templates, "  %s: {weekdays: [mon, tue, wed, thu, fri, sat, sun], from: %q, to: %q, except: [], "+
			"hours: [{from: %q, to: %q, every_minutes: %d, capacity: %d}]}\n", name, day(10), day(10), from, to, minutes, capacity)
	}
	template("main", "00:00", fmt.Sprintf("%02d:00", s.Main), 60, s.MainCapacity)
	if s.Pairs > 0 {
		template("pair", "00:00", "24:00", 15, 1)
	}
	if s.Singles > 0 {
		template("single", "00:00", "24:00", 15, 1)
	}
	return fstest.MapFS{
		"campaign.yaml": {Data: []byte(document)},
		"sites.csv":     {Data: []byte(sites.String())},
		"slots.yaml":    {Data: []byte(templates.String())},
	}
}

// AdminKey makes a key of an administrator who may change slots.
func (r *Rig) AdminKey(ctx context.Context) (string, error) {
	text, _, err := staff.NewService(r.Pool, clock.NewSystem(0), config.Development).Create(audit.With(ctx, audit.Command, ""), staff.NewKey{
		Name: "surge", Role: staff.Publisher, Lifetime: time.Hour,
	})
	return text, err
}
