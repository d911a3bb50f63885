//go:build unix

package migrations_test

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	"jari/migrations"
)

// A migration runs while instances of the release before book. It must not keep them out: a statement that reads or rewrites
// a whole table under a lock does, and so does taking away what they still use. What every new migration does is held against
// the rules below; one that must break a rule says why in a comment in front of the statement, beginning with "Locks:".

// landed are migrations that were there before this was looked at, when no deployment had rows yet.
const landed = 18

// statement is one of a file's, without its comments.
type statement struct {
	sql     string // in capitals, with single spaces
	excused bool
}

var (
	inFunction = regexp.MustCompile(`(?s)\$\$.*?\$\$`)
	comment    = regexp.MustCompile(`--[^\n]*`)
	spaces     = regexp.MustCompile(`\s+`)
)

func statements(text string) (all []statement) {
	text = inFunction.ReplaceAllString(text, "'a body'")
	for _, part := range strings.Split(text, ";") {
		excused := strings.Contains(part, "-- Locks:")
		sql := strings.ToUpper(strings.TrimSpace(spaces.ReplaceAllString(comment.ReplaceAllString(part, " "), " ")))
		if sql != "" {
			all = append(all, statement{sql, excused})
		}
	}
	return all
}

var (
	creates = regexp.MustCompile(`^CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?([A-Z0-9_.]+)`)
	indexes = regexp.MustCompile(`^CREATE (?:UNIQUE )?INDEX (CONCURRENTLY )?.* ON (?:ONLY )?([A-Z0-9_.]+)`)
	alters  = regexp.MustCompile(`^ALTER TABLE (?:IF EXISTS )?(?:ONLY )?([A-Z0-9_.]+) (.*)$`)
	writes  = regexp.MustCompile(`^(?:UPDATE|DELETE FROM|INSERT INTO) (?:ONLY )?([A-Z0-9_.]+)`)
)

// rules say what keeps others out, by what is done to a table that was there before.
var rules = []struct {
	pattern *regexp.Regexp
	unless  string
	why     string
}{
	{
		regexp.MustCompile(`\bADD CONSTRAINT \S+ (CHECK|FOREIGN KEY)`), "NOT VALID",
		"it reads the whole table while nobody may write: add it NOT VALID, and VALIDATE CONSTRAINT in the next file",
	},
	{
		regexp.MustCompile(`\bADD (CONSTRAINT \S+ )?(UNIQUE|PRIMARY KEY|EXCLUDE)`), "USING INDEX",
		"it builds an index while nobody may read: build it CONCURRENTLY in a file of its own, then ADD CONSTRAINT … USING INDEX",
	},
	{regexp.MustCompile(`\bADD (COLUMN )?.* NOT NULL`), "DEFAULT", "rows that are there have no value: give a default"},
	{
		regexp.MustCompile(`\bADD (COLUMN )?.*DEFAULT [^,]*(RANDOM|CLOCK_TIMESTAMP|NEXTVAL|UUID\(\))|GENERATED (ALWAYS|BY DEFAULT) AS IDENTITY|GENERATED ALWAYS AS \(`), "",
		"a default that differs from row to row writes every row anew while nobody may read",
	},
	{regexp.MustCompile(`\bALTER (COLUMN )?\S+ (SET DATA )?TYPE\b`), "", "it writes every row anew: add another column and move over"},
	{
		regexp.MustCompile(`\bALTER (COLUMN )?\S+ SET NOT NULL`), "",
		"it reads the whole table while nobody may read: add a CHECK (… IS NOT NULL) NOT VALID and validate it first",
	},
	{regexp.MustCompile(`\b(DROP COLUMN|RENAME)\b`), "", "instances of the release before still use it: that comes a release later"},
	{regexp.MustCompile(`\bREFERENCES\b`), "NOT VALID", "it reads the whole table and locks the other one: add the constraint NOT VALID"},
}

// dangers are what one file would do to those who are working.
func dangers(text string) (found []string) {
	all := statements(text)
	fresh := map[string]bool{} // made by this very file: nobody works with them
	validated := false
	for _, s := range all {
		if m := creates.FindStringSubmatch(s.sql); m != nil {
			fresh[m[1]] = true
		}
	}
	say := func(s statement, why string) {
		if !s.excused {
			found = append(found, fmt.Sprintf("%.80s: %s", s.sql, why))
		}
	}
	for _, s := range all {
		if m := indexes.FindStringSubmatch(s.sql); m != nil {
			switch {
			case m[1] == "" && !fresh[m[2]]:
				say(s, "nobody may write to the table while the index is built: CREATE INDEX CONCURRENTLY, in a file of its own")
			case m[1] != "" && len(all) > 1:
				say(s, "CONCURRENTLY can't be in a transaction, and a file with several statements is one")
			}
			continue
		}
		if m := alters.FindStringSubmatch(s.sql); m != nil && !fresh[m[1]] {
			if strings.HasPrefix(m[2], "VALIDATE CONSTRAINT") {
				validated = true
				continue
			}
			for _, r := range rules {
				if r.pattern.MatchString(m[2]) && (r.unless == "" || !strings.Contains(m[2], r.unless)) {
					say(s, r.why)
				}
			}
			continue
		}
		if m := writes.FindStringSubmatch(s.sql); m != nil && !fresh[m[1]] && !strings.HasPrefix(s.sql, "INSERT") {
			say(s, "it keeps locks on all rows that it changes until the file is done: change them in portions, by a command")
		}
		for _, word := range []string{"LOCK TABLE", "TRUNCATE", "VACUUM FULL", "CLUSTER ", "REINDEX", "DROP TABLE", "DROP VIEW"} {
			if strings.HasPrefix(s.sql, word) && !strings.Contains(s.sql, "CONCURRENTLY") {
				say(s, "it keeps everybody out, or takes away what the release before still uses")
			}
		}
	}
	if validated && strings.Contains(strings.ToUpper(text), "NOT VALID") {
		found = append(found, "a constraint is validated in the file that adds it: the lock of adding it is kept while the table is read; use two files")
	}
	return found
}

func TestMigrationsKeepNobodyOut(t *testing.T) {
	t.Parallel()
	names := upFiles(t)
	slices.Sort(names)
	for i, name := range names {
		if i < landed {
			continue
		}
		raw, err := fs.ReadFile(migrations.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, danger := range dangers(string(raw)) {
			t.Errorf("%s: %s\n(or say why it may, in a comment in front of the statement that begins with \"-- Locks:\")", name, danger)
		}
	}
}

func TestDangersAreSeen(t *testing.T) {
	t.Parallel()
	for sql, dangerous := range map[string]bool{
		"CREATE TABLE a (x int REFERENCES bookings); CREATE INDEX ON a (x); ALTER TABLE a ADD CONSTRAINT c CHECK (x > 0)": false,
		"ALTER TABLE bookings ADD COLUMN note text":                                                                 false,
		"ALTER TABLE bookings ADD COLUMN n int NOT NULL DEFAULT 0":                                                  false,
		"ALTER TABLE bookings ADD COLUMN n int NOT NULL":                                                            true,
		"ALTER TABLE bookings ADD COLUMN n uuid DEFAULT gen_random_uuid()":                                          true,
		"ALTER TABLE bookings ADD COLUMN p uuid REFERENCES persons":                                                 true,
		"CREATE INDEX i ON bookings (x)":                                                                            true,
		"CREATE INDEX CONCURRENTLY i ON bookings (x)":                                                               false,
		"CREATE INDEX CONCURRENTLY i ON bookings (x); CREATE TABLE a (x int)":                                       true,
		"ALTER TABLE bookings ADD CONSTRAINT c CHECK (x > 0)":                                                       true,
		"ALTER TABLE bookings ADD CONSTRAINT c CHECK (x > 0) NOT VALID":                                             false,
		"ALTER TABLE bookings ADD CONSTRAINT c CHECK (x > 0) NOT VALID; ALTER TABLE bookings VALIDATE CONSTRAINT c": true,
		"ALTER TABLE bookings VALIDATE CONSTRAINT c":                                                                false,
		"ALTER TABLE bookings ADD CONSTRAINT c UNIQUE (x)":                                                          true,
		"ALTER TABLE bookings ADD CONSTRAINT c UNIQUE USING INDEX i":                                                false,
		"ALTER TABLE bookings ALTER COLUMN x TYPE bigint":                                                           true,
		"ALTER TABLE bookings ALTER x SET NOT NULL":                                                                 true,
		"ALTER TABLE bookings DROP COLUMN x":                                                                        true,
		"ALTER TABLE bookings RENAME COLUMN x TO y":                                                                 true,
		"-- Locks: nobody uses it.\nALTER TABLE bookings RENAME COLUMN x TO y":                                      false,
		"DROP TABLE bookings":       true,
		"UPDATE bookings SET x = 1": true,
		"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE bookings SET x = 1; DROP TABLE y; END $$": false,
	} {
		if got := dangers(sql); (len(got) > 0) != dangerous {
			t.Errorf("%s\nis dangerous: %v, %q", sql, !dangerous, got)
		}
	}
}
