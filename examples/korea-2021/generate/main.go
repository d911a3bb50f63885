// Command generate writes the example's sites file: made-up sites in real districts, spread over the 17 provinces by
// population. It writes the same bytes each time; go generate runs it.
package main

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// run writes into the folder that it is run in.
func run() error {
	file, err := os.Create("sites.csv")
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}

const comment = `# 지어낸 자료입니다. Every site in this file is MADE UP: the names, addresses and telephone numbers belong to nobody.
# Only the districts are real. Each point on the map is near the middle of its district and marks no building.
# Written by the program in generate; change that one.
`

var heading = []string{
	"site_id", "region", "name", "name_en", "address", "telephone", "latitude", "longitude", "wheelchair", "slot_template",
	"state", "city", "postal_code",
}

// kind is what a site is.
type kind struct {
	ko, en string
	// templates of the slots file, which the sites of this kind take in turn.
	templates []string
}

var (
	centre   = kind{ko: "예방접종센터", en: "Vaccination Centre", templates: []string{"centre"}}
	hospital = kind{ko: "병원", en: "Hospital", templates: []string{"hospital"}}
	clinic   = kind{ko: "의원", en: "Clinic", templates: []string{"clinic", "clinic", "clinic-mornings"}}

	// kinds come in this order in every province: each has a centre before it has a second clinic.
	kinds = []kind{centre, clinic, hospital, clinic, hospital, clinic}
)

// write writes the whole file.
func write(to io.Writer) error {
	buffered := bufio.NewWriter(to)
	if _, err := buffered.WriteString(comment); err != nil {
		return err
	}
	rows := csv.NewWriter(buffered)
	if err := rows.Write(heading); err != nil {
		return err
	}
	for _, p := range provinces {
		ofKind := map[string]int{}
		for n := range p.sites {
			k := kinds[n%len(kinds)]
			if err := rows.Write(p.site(n, k, ofKind[k.ko])); err != nil {
				return err
			}
			ofKind[k.ko]++
		}
	}
	rows.Flush()
	if err := rows.Error(); err != nil {
		return err
	}
	return buffered.Flush()
}

// site is the row of the n-th site of a province, which is the nth-of-its-kind there.
func (p province) site(n int, k kind, ofKind int) []string {
	d := p.districts[n%len(p.districts)]
	first := firsts[(n*7+len(p.id))%len(firsts)] // Steps of 7 through a list of a prime length meet every name once.
	ko := fmt.Sprintf("[가상] %s %s%s", d.ko, first.ko, k.ko)
	en := fmt.Sprintf("%s %s, %s (fictional)", first.en, k.en, d.en)
	if k.ko == centre.ko {
		ko = fmt.Sprintf("[가상] %s 제%d%s", d.ko, ofKind+1, k.ko)
		en = fmt.Sprintf("%s %d, %s (fictional)", k.en, ofKind+1, d.en)
	}
	// Some hundred metres around the middle of the district, never the same twice.
	latitude := d.latitude + float64((n*37)%13-6)/1500
	longitude := d.longitude + float64((n*53)%13-6)/1200
	wheelchair := "yes"
	if k.ko == clinic.ko && ofKind%3 == 0 {
		wheelchair = "no" // Up a flight of stairs.
	}
	return []string{
		fmt.Sprintf("%s-%03d", p.id, n+1),
		p.id,
		ko,
		en,
		fmt.Sprintf("%s %s 가상로 %d (지어낸 주소)", p.ko, d.ko, n+1),
		// An exchange number in Korea never begins with 0, so nobody can be called here.
		fmt.Sprintf("%s-000-%04d", p.areaCode, n+1),
		strconv.FormatFloat(latitude, 'f', 4, 64),
		strconv.FormatFloat(longitude, 'f', 4, 64),
		wheelchair,
		k.templates[ofKind%len(k.templates)],
		p.ko,
		d.ko,
		// Postal codes in Korea begin at 01000, so nothing is delivered here.
		fmt.Sprintf("00%03d", n+1),
	}
}
