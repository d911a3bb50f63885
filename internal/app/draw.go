package app

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"jari/internal/waitingroom"
)

// DrawQuestion is what somebody wants to know of a published draw.
type DrawQuestion struct {
	// Document is the published draw. Leaves opens what its leaves_url names, and is asked only if the document doesn't
	// have the leaves itself.
	Document io.Reader
	Leaves   func(location string) (io.ReadCloser, error)
	// Index and Nonce (hexadecimal digits) are of a ticket; without a nonce nobody's registration is looked for.
	Index uint64
	Nonce string
}

// drawDocumentMost is how long a published draw may be: a document with leaves of its own has few of them.
const drawDocumentMost = 64 << 20

// VerifyDraw checks a published draw. It needs no store and no key, so that anybody can.
func VerifyDraw(q DrawQuestion) (d waitingroom.PublishedDraw, v waitingroom.DrawVerdict, err error) {
	text, err := io.ReadAll(io.LimitReader(q.Document, drawDocumentMost))
	if err != nil {
		return d, v, fmt.Errorf("reading the published draw: %w", err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return d, v, fmt.Errorf("this isn't a published draw: %w", err)
	}
	var own *waitingroom.Registration
	if q.Nonce != "" {
		own = &waitingroom.Registration{Index: q.Index}
		nonce, err := hex.DecodeString(q.Nonce)
		if err != nil || copy(own.Nonce[:], nonce) != len(own.Nonce) || len(nonce) != len(own.Nonce) {
			return d, v, fmt.Errorf("the nonce isn't %d hexadecimal digits", 2*len(own.Nonce))
		}
	}
	var leaves io.Reader
	if d.Leaves == nil && d.LeavesURL != "" {
		file, err := q.Leaves(d.LeavesURL)
		if err != nil {
			return d, v, fmt.Errorf("opening the leaves: %w", err)
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		leaves = file
	}
	v, err = waitingroom.Verify(d, leaves, own)
	return d, v, err
}
