package campaign

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// populationColumns is the heading of a population file.
var populationColumns = []string{"birth_year", "people"}

// Bounds of a population file: a number beyond them is a slip of the keyboard.
const (
	firstBirthYear = 1850
	lastBirthYear  = 2999
	mostPeople     = 10_000_000_000
)

// ParsePopulation reads how many people were born in each year: CSV in UTF-8 with the heading birth_year,people. Every
// bad row is named by its line. Years that the file doesn't name have nobody.
func ParsePopulation(r io.Reader) (map[int]int64, error) {
	rows := csv.NewReader(r)
	rows.Comment = '#'
	heading, err := rows.Read()
	if err != nil {
		return nil, fmt.Errorf("the population file has no heading: %w", err)
	}
	heading[0] = strings.TrimPrefix(heading[0], "\ufeff") // a spreadsheet's byte order mark
	if !slices.Equal(heading, populationColumns) {
		return nil, fmt.Errorf("the heading of the population file must be %s", strings.Join(populationColumns, ","))
	}
	people, lines := map[int]int64{}, map[int]int{}
	var faults []error
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if broken, ok := errors.AsType[*csv.ParseError](err); ok && errors.Is(err, csv.ErrFieldCount) {
			faults = append(faults, fmt.Errorf("line %d: has %d columns and must have %d", broken.StartLine, len(row), len(populationColumns)))
			continue
		}
		if err != nil { // A quote that doesn't close: where rows begin isn't known any more.
			return nil, errors.Join(append(faults, err)...)
		}
		line, _ := rows.FieldPos(0)
		year, err := strconv.Atoi(row[0])
		if err != nil || year < firstBirthYear || year > lastBirthYear || len(row[0]) != 4 {
			faults = append(faults, fmt.Errorf("line %d: birth_year %q must be a year from %d to %d", line, row[0], firstBirthYear, lastBirthYear))
			continue
		}
		n, err := strconv.ParseInt(row[1], 10, 64)
		if err != nil || n < 0 || n > mostPeople {
			faults = append(faults, fmt.Errorf("line %d: people %q must be a whole number from 0 to %d, in digits alone", line, row[1], int64(mostPeople)))
			continue
		}
		if first, twice := lines[year]; twice {
			faults = append(faults, fmt.Errorf("line %d: the year %d was on line %d already", line, year, first))
			continue
		}
		people[year], lines[year] = n, line
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	if len(people) == 0 {
		return nil, errors.New("the population file has no year")
	}
	return people, nil
}
