package campaign

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Site is a place where slots are.
type Site struct {
	ID         string
	Region     string
	Name       string
	NameEn     string
	Address    string
	Telephone  string
	Latitude   *float64 // degrees; both coordinates or neither
	Longitude  *float64
	Wheelchair bool
	// State, City and PostalCode are the address in parts, for those who want it so; any of them may be empty.
	State, City, PostalCode string
	// SlotTemplate names the template of the slots file that this site follows.
	SlotTemplate string
}

// NameIn is the site's name in a language, "en" or Korean; in Korean where it has no other.
func (s Site) NameIn(language string) string {
	if language == "en" && s.NameEn != "" {
		return s.NameEn
	}
	return s.Name
}

// siteColumns is the heading of a sites file; addressColumns may follow, all of them or none.
var siteColumns = []string{
	"site_id", "region", "name", "name_en", "address", "telephone", "latitude", "longitude", "wheelchair", "slot_template",
}

var addressColumns = []string{"state", "city", "postal_code"}

// maxAddressPart is how many letters a part of an address may have.
const maxAddressPart = 100

const maxSites = 100_000

// siteID is the form that the table of sites demands.
var siteID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// ParseSites reads a sites file: CSV in UTF-8 with the heading site_id,region,name,…; every column is text, and every
// bad row is named by its line.
func ParseSites(r io.Reader) ([]Site, error) {
	rows := csv.NewReader(r)
	rows.ReuseRecord = true
	rows.Comment = '#'
	heading, err := rows.Read()
	if err != nil {
		return nil, fmt.Errorf("the sites file has no heading: %w", err)
	}
	if len(heading) > 0 {
		heading[0] = strings.TrimPrefix(heading[0], "\ufeff") // a spreadsheet's byte order mark
	}
	columns := len(heading) // which reading on overwrites
	if !slices.Equal(heading, siteColumns) && !slices.Equal(heading, slices.Concat(siteColumns, addressColumns)) {
		return nil, fmt.Errorf("the heading of the sites file must be %s, and may go on with %s",
			strings.Join(siteColumns, ","), strings.Join(addressColumns, ","))
	}
	var sites []Site
	var faults []error
	seen := map[string]int{}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if broken, ok := errors.AsType[*csv.ParseError](err); ok && errors.Is(err, csv.ErrFieldCount) {
			faults = append(faults, fmt.Errorf("line %d: has %d columns and must have %d", broken.StartLine, len(row), columns))
			continue
		}
		if err != nil { // A quote that doesn't close: where rows begin isn't known any more.
			return nil, errors.Join(append(faults, err)...)
		}
		line, _ := rows.FieldPos(0)
		site, problems := parseSite(row)
		if first, twice := seen[site.ID]; twice {
			problems = append(problems, fmt.Sprintf("site_id %q was on line %d already", site.ID, first))
		}
		seen[site.ID] = line
		for _, p := range problems {
			faults = append(faults, fmt.Errorf("line %d: %s", line, p))
		}
		sites = append(sites, site)
		if len(sites) > maxSites {
			return nil, fmt.Errorf("more than %d sites", maxSites)
		}
	}
	return sites, errors.Join(faults...)
}

func parseSite(row []string) (s Site, problems []string) {
	s = Site{
		ID: row[0], Region: row[1], Name: strings.TrimSpace(row[2]), NameEn: strings.TrimSpace(row[3]),
		Address: strings.TrimSpace(row[4]), Telephone: row[5], SlotTemplate: row[9],
	}
	if len(row) > len(siteColumns) {
		s.State, s.City, s.PostalCode = strings.TrimSpace(row[10]), strings.TrimSpace(row[11]), strings.TrimSpace(row[12])
		for i, part := range []string{s.State, s.City, s.PostalCode} {
			if utf8.RuneCountInString(part) > maxAddressPart {
				problems = append(problems, fmt.Sprintf("%s is longer than %d letters", addressColumns[i], maxAddressPart))
			}
		}
	}
	if !utf8.ValidString(strings.Join(row, "")) {
		problems = append(problems, "isn't UTF-8; a spreadsheet may have saved it in another encoding")
	}
	if !siteID.MatchString(s.ID) {
		problems = append(problems, fmt.Sprintf("site_id %q must be small letters, digits and dashes", s.ID))
	}
	if s.Name == "" || s.Address == "" {
		problems = append(problems, "name and address are needed")
	}
	switch row[8] {
	case "yes":
		s.Wheelchair = true
	case "no":
	default:
		problems = append(problems, fmt.Sprintf("wheelchair is %q and must be yes or no", row[8]))
	}
	if row[6] != "" || row[7] != "" {
		lat, errLat := strconv.ParseFloat(row[6], 64)
		lon, errLon := strconv.ParseFloat(row[7], 64)
		// Written so that NaN, which compares with nothing, is refused too.
		if errLat != nil || errLon != nil || !(math.Abs(lat) <= 90 && math.Abs(lon) <= 180) {
			problems = append(problems, "latitude and longitude must be degrees, or both empty")
		} else {
			s.Latitude, s.Longitude = &lat, &lon
		}
	}
	return s, problems
}
