package identity

import (
	"bytes"
	"slices"

	"github.com/google/uuid"

	"jari/internal/token"
)

// From is where a request about codes comes from, as far as budgets and the line in front of codes want to know.
type From struct {
	// Device is the token of a device, or empty. One that can't be used is like none.
	Device string
	// Block is the caller's address block, or empty where the address is nobody's own, such as a proxy's.
	Block string
	// Ticket is the place in the line that was given before, or empty: then it is found by the phone.
	Ticket string
}

// device opens what a device carries; whatever is wrong with it, the device is one that nobody knows.
func (s *Service) device(text string) (d token.Device, known bool) {
	if text == "" {
		return token.Device{}, false
	}
	d, err := s.tokens.OpenDevice(text)
	if err != nil || !s.clock.Real().Before(d.ExpiresAt) {
		return token.Device{}, false
	}
	return d, true
}

// verifiedOn tells whether the phone was verified on the device before.
func (s *Service) verifiedOn(device string, phoneIndex []byte) bool {
	d, known := s.device(device)
	return known && slices.ContainsFunc(d.Phones, func(p []byte) bool { return bytes.Equal(p, phoneIndex) })
}

// remember makes the token of a device on which the phone was verified now. It goes on knowing the phones before.
func (s *Service) remember(device string, phoneIndex []byte) (text string, d token.Device, err error) {
	now := s.clock.Real()
	d = token.Device{ID: uuid.New()}
	if before, known := s.device(device); known {
		d = before
	}
	others := slices.DeleteFunc(d.Phones, func(p []byte) bool { return bytes.Equal(p, phoneIndex) })
	d.Phones = append([][]byte{phoneIndex}, others...)
	d.IssuedAt, d.ExpiresAt = now, now.Add(s.rules.DeviceLifetime)
	text, err = s.tokens.SealDevice(d)
	return text, d, err
}
