package jaritest

import (
	"strings"
	"testing/fstest"
)

// Small is the campaign that instances have unless a test asks for another: the waves of July 2021 over four sites, so
// that it is published in no time.
const Small = "small-2021"

// The sites of the small campaign. Each is open on Tuesdays from 27 July to 24 August 2021, at nine and at ten.
const (
	SiteOfOne  = "one"    // in seoul; one place an hour
	SiteOfFew  = "few"    // in seoul; three places an hour
	SiteOfMany = "many"   // in seoul; a hundred places an hour
	Island     = "island" // in jeju; two places an hour
)

// Regions of the small campaign.
const (
	Region      = "seoul"
	EmptyRegion = "sejong" // has no site
)

// FirstDay is the first day that waves F1 to F3 may book and sites are open, LastDay the last.
const (
	FirstDay = "2021-08-17"
	LastDay  = "2021-08-24"
)

// Birth dates of the waves.
const (
	BornForE3 = "1964-05-05" // may book when the clock begins
	BornForF1 = "1967-03-09" // two minutes later
	BornForF2 = "1970-06-15" // a day later
)

// Instants of the night.
const (
	Begins  = "2021-07-19T19:58:00+09:00" // where the clock stands at the start
	OpensF1 = "2021-07-19T20:00:00+09:00"
)

// WithRooms publishes the small campaign with these waiting rooms, as a campaign file has them.
func WithRooms(rooms string) Option {
	return func(s *setup) {
		files := smallCampaign()
		files["campaign.yaml"].Data = []byte(smallDocument + rooms)
		s.files = files
	}
}

// WithNurses publishes the small campaign with a wave more, for those on the list "nurses", whoever they are otherwise, who may
// book when the clock begins.
func WithNurses() Option {
	return func(s *setup) {
		s.files = smallCampaign()
		s.files.(fstest.MapFS)["campaign.yaml"].Data = []byte(strings.Replace(smallDocument, "sites: sites.csv\n", `  - wave: N
    title: {ko: 간호사, en: Nurses}
    who_in_words: {ko: 명단에 있는 간호사, en: If you are on the list of nurses}
    who: {in_list: nurses}
    opens_at: "2021-07-14T20:00:00+09:00"
    closes_at: "2021-07-24T18:00:00+09:00"
    slots: {from: "2021-07-26", to: "2021-08-14"}
sites: sites.csv
`, 1) + `  - {name: N, birth_date: "1990-05-05", lists: [nurses], at: "2021-07-19T19:58:00+09:00", expect: "yes", wave: N}
`)
	}
}

// Address is what servers with a feed say that the public reaches them by.
const Address = "https://jari.example.org"

// WithFeed has the server offer the feed for other sites. SiteOfOne, SiteOfFew and Island are in it; SiteOfMany has no telephone.
func WithFeed() Option {
	return func(s *setup) {
		files := smallCampaign()
		files["sites.csv"].Data = []byte(addressedSites)
		s.files = files
		s.environment = append(s.environment, "JARI_PUBLIC_URL="+Address, "JARI_BOOKING_PAGE="+BookingPage)
	}
}

// BookingPage is where the feed leads to.
const BookingPage = "https://booking.example.org/{campaign}?site={site}&slot={slot}"

const addressedSites = `site_id,region,name,name_en,address,telephone,latitude,longitude,wheelchair,slot_template,state,city,postal_code
one,seoul,하나의원,One Clinic,서울특별시 하나구 하나로 1,02-0000-0001,37.50,127.00,yes,one,,하나구,00001
few,seoul,셋의원,Few Clinic,서울특별시 하나구 하나로 3,02-0000-0003,37.51,127.01,no,few,서울,하나구,00003
many,seoul,큰체육관,Great Hall,서울특별시 하나구 하나로 100,,37.60,127.10,yes,many,,하나구,00100
island,jeju,섬의원,Island Clinic,제주특별자치도 섬시 섬로 2,064-000-0002,,,no,island,,섬시,00002
`

func smallCampaign() fstest.MapFS {
	return fstest.MapFS{
		"campaign.yaml": {Data: []byte(smallDocument)},
		"sites.csv":     {Data: []byte(smallSites)},
		"slots.yaml":    {Data: []byte(smallSlots)},
	}
}

// withChildren is the small campaign with one wave more, for those born since 2003, who may book when the clock begins.
func withChildren() fstest.MapFS {
	files := smallCampaign()
	document := strings.Replace(smallDocument, "sites: sites.csv\n", `  - wave: K
    title: {ko: 어린이, en: Children}
    who_in_words: {ko: 2003년부터 태어난 분, en: If you were born since 2003}
    who: {birth_date: {from: "2003-01-01"}}
    opens_at: "2021-07-14T20:00:00+09:00"
    closes_at: "2021-07-24T18:00:00+09:00"
    slots: {from: "2021-07-26", to: "2021-08-14"}
sites: sites.csv
`, 1) + `  - {name: K, birth_date: "2015-05-05", at: "2021-07-19T19:58:00+09:00", expect: "yes", wave: K}
`
	files["campaign.yaml"] = &fstest.MapFile{Data: []byte(document)}
	return files
}

const smallDocument = `
campaign: small-2021
title: {ko: 작은 예약, en: A small campaign}
zone: Asia/Seoul
hold_seconds: 300
book_until_seconds: 86400
change_until_seconds: 86400
regions:
  - {region: seoul, name: {ko: 서울특별시, en: Seoul}}
  - {region: jeju, name: {ko: 제주특별자치도, en: Jeju}}
  - {region: sejong, name: {ko: 세종특별자치시, en: Sejong}}
waves:
  - wave: E3
    title: {ko: 55~59세, en: Ages 55 to 59}
    who_in_words: {ko: 1962년부터 1966년 사이에 태어나신 분, en: If you were born from 1962 to 1966}
    who: {birth_date: {from: "1962-01-01", to: "1966-12-31"}}
    opens_at: "2021-07-14T20:00:00+09:00"
    closes_at: "2021-07-24T18:00:00+09:00"
    slots: {from: "2021-07-26", to: "2021-08-14"}
  - wave: F1
    title: {ko: 53~54세, en: Ages 53 and 54}
    who_in_words: {ko: 1967년과 1968년에 태어나신 분, en: If you were born in 1967 or 1968}
    who: {birth_date: {from: "1967-01-01", to: "1968-12-31"}}
    opens_at: "2021-07-19T20:00:00+09:00"
    closes_at: "2021-07-20T18:00:00+09:00"
    slots: {from: "2021-08-16", to: "2021-08-28"}
  - wave: F2
    title: {ko: 50~52세, en: Ages 50 to 52}
    who_in_words: {ko: 1969년부터 1971년 사이에 태어나신 분, en: If you were born from 1969 to 1971}
    who: {birth_date: {from: "1969-01-01", to: "1971-12-31"}}
    opens_at: "2021-07-20T20:00:00+09:00"
    closes_at: "2021-07-21T18:00:00+09:00"
    slots: {from: "2021-08-16", to: "2021-08-28"}
  - wave: F3
    title: {ko: 50~54세 모두, en: All ages from 50 to 54}
    who_in_words: {ko: 1967년부터 1971년 사이에 태어나신 분, en: If you were born from 1967 to 1971}
    who: {birth_date: {from: "1967-01-01", to: "1971-12-31"}}
    opens_at: "2021-07-21T20:00:00+09:00"
    closes_at: "2021-07-24T18:00:00+09:00"
    slots: {from: "2021-08-16", to: "2021-08-28"}
sites: sites.csv
slots: slots.yaml
cases:
  - {name: E3, birth_date: "1964-05-05", at: "2021-07-19T19:58:00+09:00", expect: "yes", wave: E3}
  - {name: F1, birth_date: "1967-03-09", at: "2021-07-19T20:00:00+09:00", expect: "yes", wave: F1}
  - {name: F2, birth_date: "1970-06-15", at: "2021-07-20T20:00:00+09:00", expect: "yes", wave: F2}
  - {name: F3, birth_date: "1970-06-15", at: "2021-07-21T20:00:00+09:00", expect: "yes", wave: F3}
`

const smallSites = `site_id,region,name,name_en,address,telephone,latitude,longitude,wheelchair,slot_template
one,seoul,하나의원,One Clinic,서울특별시 하나구 하나로 1,02-0000-0001,37.50,127.00,yes,one
few,seoul,셋의원,Few Clinic,서울특별시 하나구 하나로 3,02-0000-0003,37.51,127.01,no,few
many,seoul,큰체육관,Great Hall,서울특별시 하나구 하나로 100,,37.60,127.10,yes,many
island,jeju,섬의원,Island Clinic,제주특별자치도 섬시 섬로 2,,,,no,island
`

const smallSlots = `
templates:
  one: {weekdays: [tue], from: "2021-07-27", to: "2021-08-24", except: [], hours: [{from: "09:00", to: "11:00", every_minutes: 60, capacity: 1}]}
  few: {weekdays: [tue], from: "2021-07-27", to: "2021-08-24", except: [], hours: [{from: "09:00", to: "11:00", every_minutes: 60, capacity: 3}]}
  many: {weekdays: [tue], from: "2021-07-27", to: "2021-08-24", except: [], hours: [{from: "09:00", to: "11:00", every_minutes: 60, capacity: 100}]}
  island: {weekdays: [tue], from: "2021-07-27", to: "2021-08-24", except: [], hours: [{from: "09:00", to: "11:00", every_minutes: 60, capacity: 2}]}
`

// SmallDocument is the campaign file of the small campaign.
func SmallDocument() string { return smallDocument }
