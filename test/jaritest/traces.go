package jaritest

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/jackc/pgx/v5"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/unicode/norm"

	"jari/internal/civil"
)

// WantNoTrace fails the test for everything that the instances of the test wrote, wherever they wrote it, in which somebody
// can be recognised: by name, phone or birth date, in any common spelling. Sealed columns are searched like all others.
// asked are the addresses that were requested.
func (s *Server) WantNoTrace(t testing.TB, people []*Citizen, asked ...string) {
	t.Helper()
	written := s.Written(t)
	for _, address := range asked {
		written["an address"] += address + "\n"
	}
	for _, found := range Traces(written, people) {
		t.Error(found)
	}
}

// Traces are the places in which one of the people can be recognised.
func Traces(written map[string]string, people []*Citizen) (found []string) {
	spelt := map[string]string{}
	for _, c := range people {
		maps.Copy(spelt, c.Spellings())
	}
	for _, where := range slices.Sorted(maps.Keys(written)) {
		text := written[where]
		for pattern, what := range spelt {
			at := strings.Index(text, pattern)
			if len(pattern) < 8 && isDigits(pattern) {
				at = alone(text, pattern)
			}
			if at >= 0 {
				found = append(found, fmt.Sprintf("%s has the %s, as %q: …%q…", where, what, pattern,
					text[max(0, at-60):min(len(text), at+len(pattern)+20)]))
			}
		}
	}
	return found
}

func isDigits(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < '0' || r > '9' })
}

// alone is where a short number stands that isn't a part of another one, or of an id.
func alone(text, number string) int {
	from := 0
	for {
		at := strings.Index(text[from:], number)
		if at < 0 {
			return -1
		}
		at += from
		end := at + len(number)
		if (at == 0 || !isWord(text[at-1])) && (end == len(text) || !isWord(text[end])) {
			return at
		}
		from = at + 1
	}
}

func isWord(b byte) bool {
	return b < unicode.MaxASCII && (unicode.IsLetter(rune(b)) || unicode.IsDigit(rune(b)))
}

// Spellings are those of a citizen's name, phone and birth date that people and programs use, each with what it spells.
func (c *Citizen) Spellings() map[string]string {
	all := map[string]string{}
	add := func(what string, spellings ...string) {
		for _, plain := range spellings {
			for _, spelling := range encodings(plain) {
				all[spelling] = what
			}
		}
	}
	add("name", c.Name, norm.NFD.String(c.Name), norm.NFKD.String(c.Name), strings.ReplaceAll(c.Name, " ", ""),
		strings.ToLower(c.Name), strings.ToUpper(c.Name), strings.ToLower(strings.ReplaceAll(c.Name, " ", "")))
	for _, word := range strings.Fields(c.Name) {
		if len([]rune(word)) >= 3 {
			add("name", word, strings.ToLower(word), strings.ToUpper(word))
		}
	}
	digits := strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return r
		}
		return -1
	}, c.Phone)
	a, b, d := digits[:3], digits[3:7], digits[7:]
	for _, by := range []string{"-", " ", ".", ""} {
		add("phone", a+by+b+by+d, "+82"+by+a[1:]+by+b+by+d, "82"+by+a[1:]+by+b+by+d, a[1:]+by+b+by+d, b+by+d)
	}
	add("phone", "+82 (0)"+a[1:]+"-"+b+"-"+d, "("+a+") "+b+"-"+d, "0082"+digits[1:], "tel:+82"+digits[1:])
	born, err := civil.Parse(c.BirthDate)
	if err != nil {
		panic(err) // tests have people who were born
	}
	year, month, day := c.BirthDate[:4], c.BirthDate[5:7], c.BirthDate[8:]
	for _, by := range []string{"-", ".", "/", " ", ""} {
		add("birth date", year+by+month+by+day, year[2:]+by+month+by+day, day+by+month+by+year, month+by+day+by+year)
	}
	m, e := strconv.Itoa(int(born.Month)), strconv.Itoa(born.Day)
	for _, spelling := range []string{
		year + "년 " + m + "월 " + e + "일", year + "년" + m + "월" + e + "일", year + ". " + m + ". " + e, year + "." + m + "." + e,
		year + "-" + m + "-" + e, born.Month.String() + " " + e + ", " + year, e + " " + born.Month.String() + " " + year,
		born.Month.String()[:3] + " " + e + ", " + year, e + " " + born.Month.String()[:3] + " " + year, "{" + year + " " + m + " " + e + "}",
	} {
		add("birth date", spelling)
	}
	return all
}

// encodings are a text as it is, and as programs carry it.
func encodings(plain string) []string {
	raw := []byte(plain)
	all := []string{
		plain, url.QueryEscape(plain), url.PathEscape(plain), strings.ToLower(url.QueryEscape(plain)), strings.Trim(strconv.QuoteToASCII(plain), `"`),
		hex.EncodeToString(raw), strings.ToUpper(hex.EncodeToString(raw)),
	}
	if cp949, err := korean.EUCKR.NewEncoder().Bytes(raw); err == nil {
		all = append(all, string(cp949), hex.EncodeToString(cp949))
	}
	var wide []byte
	for _, r := range plain {
		wide = append(wide, byte(r>>8), byte(r))
	}
	all = append(all, hex.EncodeToString(wide), strings.ToUpper(hex.EncodeToString(wide)))
	// In base64 a text looks different at each of three places; what stands beside it changes its first and last letters.
	for before, skip := range []int{0, 2, 3} {
		for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := e.EncodeToString(append(make([]byte, before), raw...))
			if (before+len(raw))%3 != 0 {
				text = text[:len(text)-1]
			}
			if text = text[skip:]; len(text) >= 8 {
				all = append(all, text)
			}
		}
	}
	return slices.DeleteFunc(all, func(s string) bool { return len(s) < 6 })
}

// Written is everything that the instances of the test have written so far, by where: the log, what is measured, every key
// and value of Redis, every column of every table of Postgres, also those of the jobs, as text.
func (s *Server) Written(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{"the log": s.Log.String(), "the metrics": s.Metrics(t), "readiness": s.Ready(t)}
	s.writtenInPostgres(t, all)
	s.writtenInRedis(t, all)
	return all
}

func (s *Server) writtenInPostgres(t testing.TB, all map[string]string) {
	t.Helper()
	rows, err := s.Pool.Query(t.Context(), `
		SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2`)
	if err != nil {
		t.Fatal(err)
	}
	type table struct{ Schema, Name string }
	tables, err := pgx.CollectRows(rows, pgx.RowToStructByPos[table])
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range tables {
		rows, err := s.Pool.Query(t.Context(), `SELECT x::text FROM `+pgx.Identifier{x.Schema, x.Name}.Sanitize()+` x`)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		all["table "+x.Schema+"."+x.Name] = strings.Join(lines, "\n")
	}
}

func (s *Server) writtenInRedis(t testing.TB, all map[string]string) {
	t.Helper()
	ctx := t.Context()
	found, err := s.Redis.Keys(ctx, "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	all["keys of Redis"] = strings.Join(found, "\n")
	for _, key := range found {
		var value any
		kind, err := s.Redis.Type(ctx, key).Result()
		if err != nil {
			t.Fatal(err)
		}
		switch kind {
		case "none": // expired meanwhile
			continue
		case "string":
			value, err = s.Redis.Get(ctx, key).Result()
		case "hash":
			value, err = s.Redis.HGetAll(ctx, key).Result()
		case "set":
			value, err = s.Redis.SMembers(ctx, key).Result()
		case "zset":
			value, err = s.Redis.ZRangeWithScores(ctx, key, 0, -1).Result()
		case "list":
			value, err = s.Redis.LRange(ctx, key, 0, -1).Result()
		case "stream":
			value, err = s.Redis.XRange(ctx, key, "-", "+").Result()
		default:
			t.Fatalf("nobody searches values of Redis that are a %s", kind)
		}
		if err != nil && value == nil {
			t.Fatal(err)
		}
		all["values of Redis"] += fmt.Sprintf("%s %v\n", key, value)
	}
}
