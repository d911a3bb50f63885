package notify

import (
	"time"

	"github.com/google/uuid"
)

// Kind is what a message is about.
type Kind string

// The kinds, as the table knows them.
const (
	Code      Kind = "code"
	Booked    Kind = "booked"
	Moved     Kind = "moved"
	Cancelled Kind = "cancelled"
	Reminder  Kind = "reminder" // the day before
)

// Words of their own for people whose place was taken away: a closed site, or fewer places. What they are sent is a message of
// the kind Moved or Cancelled all the same, once, and untrue when such a message is.
const (
	MovedBySite     Kind = "moved_by_site"
	CancelledBySite Kind = "cancelled_by_site"
)

// BySite are the words for news of a kind where its cause is that a place was taken away.
func BySite(k Kind) Kind {
	switch k {
	case Moved:
		return MovedBySite
	case Cancelled:
		return CancelledBySite
	case Code, Booked, Reminder, MovedBySite, CancelledBySite:
	}
	return k
}

// Message is a text to a phone. To and Text are personal data and never logged.
type Message struct {
	// Subject names what the message is about; a second message about it is not made.
	Subject string
	Kind    Kind
	To      string // E.164
	Text    string
	// Campaign and Booking are what it is about, so that it isn't sent when it is no longer true; zero with a code.
	Campaign string
	Booking  uuid.UUID
	// UsefulUntil is when the message is dropped instead of sent, in real time.
	UsefulUntil time.Time
	// MostWait is how long a code may wait in the line of codes; 0 is as long as it is of use.
	MostWait time.Duration
}

// State is where a message is on its way.
type State string

// The states, as the table knows them:
//
//	queued → sending → sent | failed | unknown;  queued → dropped
const (
	Queued  State = "queued"
	Sending State = "sending" // handed to the gateway, answer not known yet
	Sent    State = "sent"
	Failed  State = "failed"  // the gateway refused it
	Unknown State = "unknown" // the gateway may have it; it isn't sent again
	Dropped State = "dropped" // too late to be of use, or not true any more
)

// Shown is a message as the development inbox shows it.
type Shown struct {
	ID        uuid.UUID
	Kind      Kind
	To, Text  string
	State     State
	CreatedAt time.Time // real time
}
