package token

import (
	"time"

	"github.com/google/uuid"
)

const kindDevice kind = "device"

// MaxDevicePhones is how many phones a device is known for: a family's.
const MaxDevicePhones = 4

// Device says which phones were verified on a device. It is no session: it only keeps a share of those phones' daily
// budgets for whoever carries it.
type Device struct {
	ID uuid.UUID
	// Phones are keyed hashes, the newest first, at most MaxDevicePhones.
	Phones              [][]byte
	IssuedAt, ExpiresAt time.Time // real time
}

// SealDevice makes a device token.
func (b *Box) SealDevice(d Device) (string, error) {
	w := newWriter()
	w.id(d.ID)
	phones := d.Phones[:min(len(d.Phones), MaxDevicePhones)]
	w.int(int64(len(phones)))
	for _, p := range phones {
		w.text(string(p))
	}
	w.time(d.IssuedAt)
	w.time(d.ExpiresAt)
	return b.seal(kindDevice, w)
}

// OpenDevice reads a device token, or returns ErrInvalid.
func (b *Box) OpenDevice(text string) (Device, error) {
	r := b.open(kindDevice, text)
	d := Device{ID: r.id()}
	n := r.int()
	if n < 0 || n > MaxDevicePhones {
		return Device{}, ErrInvalid
	}
	for range n {
		d.Phones = append(d.Phones, []byte(r.text()))
	}
	d.IssuedAt, d.ExpiresAt = r.time(), r.time()
	if !r.done() {
		return Device{}, ErrInvalid
	}
	return d, nil
}
