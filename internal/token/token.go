// Package token makes and reads what a client carries: a session, an admission, a hold. Each is sealed (AEAD), so nobody
// can read or alter it, and bound to the environment and its kind, so that a token of development or of another kind
// never passes. Nothing is stored for a token.
//
// A token says who and what; whether its time is over is for the caller to say, who knows what that means.
package token

import (
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"jari/internal/civil"
	"jari/internal/keys"
)

// ErrInvalid is every way in which a token can be wrong: a guesser learns nothing more.
var ErrInvalid = errors.New("not a token of this kind, environment and deployment")

// kind separates tokens; it is part of what is authenticated.
type kind string

const (
	kindSession   kind = "session"
	kindAdmission kind = "admission"
	kindHold      kind = "hold"
)

// strictly reads a token, which has one spelling.
var strictly = base64.RawURLEncoding.Strict()

// Session is a person on a device.
type Session struct {
	ID uuid.UUID
	// Person is whom everything is for; Actor is who asks, the same unless somebody acts for another.
	Person, Actor uuid.UUID
	// BirthDate is here (sealed) so that judging eligibility at the rush asks no store.
	BirthDate           civil.Date
	IssuedAt, ExpiresAt time.Time // real time
	// Lists are the lists of entitled people that Person was on at ListsRevision, a bit for each of the ids 0 to 63; for the
	// same reason. Revision 0 says nothing of lists.
	Lists         uint64
	ListsRevision int64
}

// Admission lets a person choose in the campaign of a room.
type Admission struct {
	Room, Campaign      string
	Person              uuid.UUID
	IssuedAt, ExpiresAt time.Time // real time
}

// Hold is the right to confirm one place. It says how eligibility was judged, so that confirming judges nothing anew.
type Hold struct {
	ID       uuid.UUID
	Campaign string
	Slot     int64
	Person   uuid.UUID
	Actor    uuid.UUID
	// Replaces is the booking that confirming moves; zero for a new booking.
	Replaces            uuid.UUID
	PlacedAt, ExpiresAt time.Time // real time
	Wave                string
	RulesVersion        int64
	JudgedAt            time.Time // shown time: the instant that the rules were asked about
}

// Box seals and opens tokens of one environment.
type Box struct {
	sealer *keys.Sealer
	// contexts are what is authenticated beside what is sealed, by kind.
	contexts map[kind][]byte
}

// NewBox returns a box that seals with the given keyset.
func NewBox(sealer *keys.Sealer, environment string) *Box {
	b := &Box{sealer: sealer, contexts: map[kind][]byte{}}
	for _, k := range []kind{kindSession, kindAdmission, kindHold, kindDevice, kindTicket} {
		b.contexts[k] = []byte("jari token " + environment + " " + string(k))
	}
	return b
}

// layout is the first byte of every payload; a change of layout raises it.
const layout = 1

// SealSession makes a session token.
func (b *Box) SealSession(s Session) (string, error) {
	w := newWriter()
	w.id(s.ID)
	w.id(s.Person)
	w.id(s.Actor)
	w.int(int64(civil.DayNumber(s.BirthDate)))
	w.time(s.IssuedAt)
	w.time(s.ExpiresAt)
	if s.ListsRevision != 0 { // left out where there are none, as in the release before, which reads nothing behind the times
		w.int(s.ListsRevision)
		w.int(int64(s.Lists)) //nolint:gosec // bits, not a number
	}
	return b.seal(kindSession, w)
}

// OpenSession reads a session token, or returns ErrInvalid.
func (b *Box) OpenSession(text string) (Session, error) {
	r := b.open(kindSession, text)
	s := Session{
		ID: r.id(), Person: r.id(), Actor: r.id(),
		BirthDate: civil.FromDayNumber(int32(r.int())), //nolint:gosec // written from an int32
		IssuedAt:  r.time(), ExpiresAt: r.time(),
	}
	if len(r.b) > 0 {
		if s.ListsRevision, s.Lists = r.int(), uint64(r.int()); s.ListsRevision == 0 { //nolint:gosec // bits, not a number
			return Session{}, ErrInvalid
		}
	}
	if !r.done() {
		return Session{}, ErrInvalid
	}
	return s, nil
}

// SealAdmission makes an admission.
func (b *Box) SealAdmission(a Admission) (string, error) {
	w := newWriter()
	w.text(a.Room)
	w.text(a.Campaign)
	w.id(a.Person)
	w.time(a.IssuedAt)
	w.time(a.ExpiresAt)
	return b.seal(kindAdmission, w)
}

// OpenAdmission reads an admission, or returns ErrInvalid.
func (b *Box) OpenAdmission(text string) (Admission, error) {
	r := b.open(kindAdmission, text)
	a := Admission{Room: r.text(), Campaign: r.text(), Person: r.id(), IssuedAt: r.time(), ExpiresAt: r.time()}
	if !r.done() {
		return Admission{}, ErrInvalid
	}
	return a, nil
}

// SealHold makes a hold token.
func (b *Box) SealHold(h Hold) (string, error) {
	w := newWriter()
	w.id(h.ID)
	w.text(h.Campaign)
	w.int(h.Slot)
	w.id(h.Person)
	w.id(h.Actor)
	w.id(h.Replaces)
	w.time(h.PlacedAt)
	w.time(h.ExpiresAt)
	w.text(h.Wave)
	w.int(h.RulesVersion)
	w.time(h.JudgedAt)
	return b.seal(kindHold, w)
}

// OpenHold reads a hold token, or returns ErrInvalid.
func (b *Box) OpenHold(text string) (Hold, error) {
	r := b.open(kindHold, text)
	h := Hold{
		ID: r.id(), Campaign: r.text(), Slot: r.int(), Person: r.id(), Actor: r.id(), Replaces: r.id(),
		PlacedAt: r.time(), ExpiresAt: r.time(), Wave: r.text(), RulesVersion: r.int(), JudgedAt: r.time(),
	}
	if !r.done() {
		return Hold{}, ErrInvalid
	}
	return h, nil
}

// scratch is room for a token on its way between text and what is sealed.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

func (b *Box) seal(k kind, w writer) (string, error) {
	sealed, err := b.sealer.Seal(w.b, b.contexts[k])
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// open returns a reader that has failed already if text isn't a token of kind k.
func (b *Box) open(k kind, text string) reader {
	// Line breaks are skipped by the decoder; one token has one spelling.
	if strings.ContainsAny(text, "\r\n") {
		return reader{failed: true}
	}
	room, _ := scratch.Get().(*[]byte)
	defer scratch.Put(room)
	sealed, err := strictly.AppendDecode((*room)[:0], []byte(text))
	*room = sealed
	if err != nil {
		return reader{failed: true}
	}
	plain, err := b.sealer.Open(sealed, b.contexts[k])
	if err != nil || len(plain) == 0 || plain[0] != layout {
		return reader{failed: true}
	}
	return reader{b: plain[1:]}
}
