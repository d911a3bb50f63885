package httpapi

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// The two answers of the rush, written as encoding/json writes them and without reflection. A test compares.

func appendHold(b []byte, h Hold) []byte {
	b = appendTime(append(b, `{"expires_at":`...), h.ExpiresAt)
	b = appendText(append(b, `,"hold_id":`...), h.HoldId)
	b = appendText(append(b, `,"hold_token":`...), h.HoldToken)
	if h.Replaces != nil {
		b = appendText(append(b, `,"replaces":`...), *h.Replaces)
	}
	b = appendSlot(append(b, `,"slot":`...), h.Slot)
	return append(b, '}')
}

func appendBooking(b []byte, x Booking) []byte {
	b = appendTime(append(b, `{"booked_at":`...), x.BookedAt)
	b = appendText(append(b, `,"booking_id":`...), x.BookingId)
	b = appendText(append(b, `,"campaign_id":`...), x.CampaignId)
	if x.CancelledAt != nil {
		b = appendTime(append(b, `,"cancelled_at":`...), *x.CancelledAt)
	}
	if x.ChangeUntil != nil {
		b = appendTime(append(b, `,"change_until":`...), *x.ChangeUntil)
	}
	b = appendText(append(b, `,"reference":`...), x.Reference)
	b = appendSite(append(b, `,"site":`...), x.Site)
	b = appendSlot(append(b, `,"slot":`...), x.Slot)
	b = appendText(append(b, `,"status":`...), string(x.Status))
	return append(b, '}')
}

func appendSlot(b []byte, x Slot) []byte {
	b = appendTime(append(b, `{"ends_at":`...), x.EndsAt)
	b = appendText(append(b, `,"site_id":`...), x.SiteId)
	b = appendText(append(b, `,"slot_id":`...), x.SlotId)
	b = appendTime(append(b, `,"starts_at":`...), x.StartsAt)
	return append(b, '}')
}

func appendSite(b []byte, x Site) []byte {
	b = appendText(append(b, `{"address":`...), x.Address)
	if x.City != nil {
		b = appendText(append(b, `,"city":`...), *x.City)
	}
	b = appendNumber(b, `,"latitude":`, x.Latitude)
	b = appendNumber(b, `,"longitude":`, x.Longitude)
	b = appendText(append(b, `,"name":`...), x.Name)
	if x.NameEn != nil {
		b = appendText(append(b, `,"name_en":`...), *x.NameEn)
	}
	if x.PostalCode != nil {
		b = appendText(append(b, `,"postal_code":`...), *x.PostalCode)
	}
	b = appendText(append(b, `,"site_id":`...), x.SiteId)
	if x.State != nil {
		b = appendText(append(b, `,"state":`...), *x.State)
	}
	if x.Telephone != nil {
		b = appendText(append(b, `,"telephone":`...), *x.Telephone)
	}
	b = strconv.AppendBool(append(b, `,"wheelchair":`...), x.Wheelchair)
	return append(b, '}')
}

func appendTime(b []byte, t time.Time) []byte {
	return append(t.AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
}

// appendText leaves whatever has to be written otherwise than it is to the library.
func appendText(b []byte, s string) []byte {
	for _, r := range s {
		switch {
		case r < ' ', r == '"', r == '\\', r == '<', r == '>', r == '&', r == '\u007f',
			r == utf8.RuneError, r == '\u2028', r == '\u2029':
			text, _ := json.Marshal(s) // a string never fails
			return append(b, text...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

func appendNumber(b []byte, name string, f *float64) []byte {
	if f == nil {
		return b
	}
	b = append(b, name...)
	// Most degrees; the library has its own way with what is very small or large.
	const least, below = 1e-6, 1e21
	if size := math.Abs(*f); size == 0 || (least <= size && size < below) {
		return strconv.AppendFloat(b, *f, 'f', -1, 64)
	}
	text, _ := json.Marshal(*f) // a place on the map is a number
	return append(b, text...)
}
