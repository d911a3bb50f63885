package rig

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/app"
	"jari/internal/civil"
)

// Capacity is how many people a slot of the campaign takes: the most that a slot may have.
const Capacity = 100_000

// Campaign is what is published: open since yesterday for everybody, with slots in ten days.
type Campaign struct {
	ID string
	// Spread are a thousand slots, ten at each of a hundred sites.
	Spread []int64
	// Hot are slots that are each to be the only one of a part, so that a part never finds what another left.
	Hot []int64
	// Crowd and Days are of a campaign for readers, which has neither of the above.
	Crowd Crowd
	Days  []civil.Date
}

const (
	campaignID   = "surge"
	sites        = 100
	slotsPerSite = 10
)

func publish(ctx context.Context, pool *pgxpool.Pool, room bool) (c Campaign, err error) {
	now := time.Now()
	files := campaignFiles(now)
	if room {
		files["campaign.yaml"].Data = append(files["campaign.yaml"].Data, roomTemplate...)
	}
	if _, err := app.Publish(ctx, pool, files, "campaign.yaml", now); err != nil {
		return c, err
	}
	c.ID = campaignID
	if c.Spread, err = slotsAt(ctx, pool, "site_id <> 'hot'"); err != nil {
		return c, err
	}
	if c.Hot, err = slotsAt(ctx, pool, "site_id = 'hot'"); err != nil {
		return c, err
	}
	if len(c.Spread) != sites*slotsPerSite || len(c.Hot) == 0 {
		return c, fmt.Errorf("the campaign has %d and %d slots, which isn't what was published", len(c.Spread), len(c.Hot))
	}
	return c, nil
}

func slotsAt(ctx context.Context, pool *pgxpool.Pool, where string) ([]int64, error) {
	rows, err := pool.Query(ctx, `SELECT slot_id FROM slots WHERE `+where+` ORDER BY slot_id`)
	if err != nil {
		return nil, fmt.Errorf("reading the slots: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

func campaignFiles(now time.Time) fstest.MapFS {
	day := func(days int) string { return now.AddDate(0, 0, days).UTC().Format(time.DateOnly) }
	instant := func(days int) string { return now.AddDate(0, 0, days).UTC().Format(time.RFC3339) }
	document := strings.NewReplacer(
		"{ID}", campaignID, "{OPENS}", instant(-1), "{CLOSES}", instant(5), "{NOW}", instant(0), "{FROM}", day(9), "{TO}", day(12),
	).Replace(documentTemplate)
	slots := strings.NewReplacer("{DAY}", day(10), "{CAPACITY}", strconv.Itoa(Capacity)).Replace(slotsTemplate)
	var b strings.Builder
	b.WriteString("site_id,region,name,name_en,address,telephone,latitude,longitude,wheelchair,slot_template\n")
	for n := range sites {
		fmt.Fprintf(&b, "s%03d,seoul,제%d 예방접종센터,Centre %d,서울특별시 중구 세종대로 %d,02-0000-%04d,37.5,127.0,yes,spread\n", n, n, n, n+1, n)
	}
	b.WriteString("hot,seoul,모두의 예방접종센터,Everybody's Centre,서울특별시 중구 세종대로 110,02-0000-9999,37.5,127.0,yes,hot\n")
	return fstest.MapFS{
		"campaign.yaml": {Data: []byte(document)},
		"sites.csv":     {Data: []byte(b.String())},
		"slots.yaml":    {Data: []byte(slots)},
	}
}

const documentTemplate = `
campaign: {ID}
title: {ko: 몰려오는 밤, en: A surge}
zone: Asia/Seoul
hold_seconds: 300
book_until_seconds: 86400
change_until_seconds: 86400
regions:
  - {region: seoul, name: {ko: 서울특별시, en: Seoul}}
waves:
  - wave: all
    title: {ko: 모두, en: Everybody}
    who_in_words: {ko: 누구나, en: Anybody}
    who: {birth_date: {from: "1900-01-01", to: "2020-12-31"}}
    opens_at: "{OPENS}"
    closes_at: "{CLOSES}"
    slots: {from: "{FROM}", to: "{TO}"}
sites: sites.csv
slots: slots.yaml
cases:
  - {name: anybody, birth_date: "1970-06-15", at: "{NOW}", expect: "yes", wave: all}
`

const slotsTemplate = `
templates:
  spread: {weekdays: [mon, tue, wed, thu, fri, sat, sun], from: "{DAY}", to: "{DAY}", except: [], hours: [{from: "09:00", to: "19:00", every_minutes: 60, capacity: {CAPACITY}}]}
  hot: {weekdays: [mon, tue, wed, thu, fri, sat, sun], from: "{DAY}", to: "{DAY}", except: [], hours: [{from: "00:00", to: "24:00", every_minutes: 15, capacity: {CAPACITY}}]}
`
