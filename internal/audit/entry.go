package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Entry is one act, or one look at somebody's data.
type Entry struct {
	// At is when it happened, in real time and microseconds. Append fills it in.
	At time.Time
	// Actor is who did it: KeyActor, StaffActor, PersonActor, Command or System. Append takes it from the context if it is empty.
	Actor string
	// From is the address that the actor asked from; empty for commands and the system. Filled in like Actor.
	From string
	// Act is what was done, as "noun.verb": "slot.change", "campaign.publish", "booking.look".
	Act string
	// Subject is what it was done to: "korea-2021/slot/17". Ids alone, no names.
	Subject string
	// Person is whose data it was; the zero id if nobody's.
	Person uuid.UUID
	// Reason is why, in the actor's words; empty where none is asked for.
	Reason string
	// Details are counts, ids and states, as JSON without personal data; at most MaxDetailsBytes.
	Details map[string]any
}

// Limits of an entry. Append refuses more than that, and the act with it.
const (
	maxActorBytes   = 200
	maxSubjectBytes = 300
	MaxReasonBytes  = 1000
	MaxDetailsBytes = 8 << 10
)

// Actors that aren't anybody.
const (
	// System is Jari itself, by its own clock.
	System = "system"
	// Command is whoever runs a command with the database's password.
	Command = "command"
)

// StaffPrefix begins what a person who administers is called.
const StaffPrefix = "staff:"

// StaffActor is a person who administers, whichever session they act by.
func StaffActor(id uuid.UUID) string { return StaffPrefix + id.String() }

// KeyActor is the actor who holds an administrator's key. Who signed in is called by who they are.
func KeyActor(keyID string) string {
	if strings.HasPrefix(keyID, StaffPrefix) {
		return keyID
	}
	return "key:" + keyID
}

// PersonActor is a citizen who acts.
func PersonActor(person uuid.UUID) string { return "person:" + person.String() }

// who is in the context of a request.
type who struct{ actor, from string }

type whoKey struct{}

// With returns a context whose entries are by the given actor, who asks from the given address.
func With(ctx context.Context, actor, from string) context.Context {
	return context.WithValue(ctx, whoKey{}, who{actor, from})
}

// actForm is what acts look like, so that they can be counted and searched.
var actForm = regexp.MustCompile(`^[a-z_]+(\.[a-z_]+)+$`)

// row is an entry as it is kept and hashed.
type row struct {
	ID      int64
	At      time.Time
	Actor   string
	From    string
	Act     string
	Subject string
	Person  uuid.NullUUID
	Reason  string
	Details string // JSON; its very text is hashed
}

// row checks an entry and fills in what the context knows.
func (e Entry) row(ctx context.Context, now time.Time) (row, error) {
	w, _ := ctx.Value(whoKey{}).(who)
	if e.Actor == "" {
		e.Actor, e.From = w.actor, w.from
	}
	r := row{
		At: now.UTC().Truncate(time.Microsecond), Actor: e.Actor, From: e.From, Act: e.Act, Subject: e.Subject,
		Person: uuid.NullUUID{UUID: e.Person, Valid: e.Person != uuid.Nil}, Reason: e.Reason, Details: "{}",
	}
	if len(e.Details) > 0 {
		raw, err := json.Marshal(e.Details)
		if err != nil {
			return row{}, fmt.Errorf("encoding the details of %s: %w", e.Act, err)
		}
		r.Details = string(raw)
	}
	for _, text := range []struct {
		name, value string
		most        int
	}{
		{"actor", r.Actor, maxActorBytes},
		{"address", r.From, maxActorBytes},
		{"subject", r.Subject, maxSubjectBytes},
		{"reason", r.Reason, MaxReasonBytes},
		{"details", r.Details, MaxDetailsBytes},
	} {
		if len(text.value) > text.most || !utf8.ValidString(text.value) || bytes.IndexByte([]byte(text.value), 0) >= 0 {
			return row{}, fmt.Errorf("the %s of %s has %d bytes and may have %d, as UTF-8", text.name, e.Act, len(text.value), text.most)
		}
	}
	if r.Actor == "" || !actForm.MatchString(r.Act) {
		return row{}, fmt.Errorf("an act needs an actor (%q) and a name like slot.change (%q)", r.Actor, r.Act)
	}
	return r, nil
}

// hashBytes is the length of a hash.
const hashBytes = sha256.Size

// hash is the entry's link of the chain: over its place, the link before it, and each field with its length in front, so
// that no two entries read the same.
func (r row) hash(previous []byte, number int64) []byte {
	h := sha256.New()
	field := func(b []byte) {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(b)))
		_, _ = h.Write(length[:])
		_, _ = h.Write(b)
	}
	integer := func(n int64) {
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], uint64(n)) //nolint:gosec // the bits, whatever they mean
		field(b[:])
	}
	field([]byte("jari audit 1"))
	field(previous)
	integer(number)
	integer(r.ID)
	integer(r.At.UnixMicro())
	for _, text := range []string{r.Actor, r.From, r.Act, r.Subject} {
		field([]byte(text))
	}
	if r.Person.Valid {
		field(r.Person.UUID[:])
	} else {
		field(nil)
	}
	field([]byte(r.Reason))
	field([]byte(r.Details))
	return h.Sum(nil)
}
