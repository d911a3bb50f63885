package waitingroom

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// PublishedDraw is what is made public of a draw, for anybody to check. Before the value exists it is published without
// value and seed; nothing else in it may change afterwards.
type PublishedDraw struct {
	Format int    `json:"format"` // DrawFormat
	Room   string `json:"room"`
	// N is how many registered before the freeze.
	N uint64 `json:"n"`
	// Leaves are all leaves by index in hexadecimal digits, where they are few. Else LeavesURL says where they are: N times
	// 32 bytes, one after the other.
	Leaves    []string `json:"leaves,omitempty"`
	LeavesURL string   `json:"leaves_url,omitempty"`
	Root      string   `json:"root"` // of the leaves, in hexadecimal digits
	// PublishedAt is when the root became public.
	PublishedAt time.Time   `json:"published_at"`
	Source      ValueSource `json:"source"`
	Value       string      `json:"value,omitempty"` // in hexadecimal digits
	Seed        string      `json:"seed,omitempty"`  // SHA-256(root ‖ value), in hexadecimal digits
}

// DrawFormat is the format that PublishedDraw has.
const DrawFormat = 1

// SourceKind is where a draw's value comes from.
type SourceKind string

// The kinds.
const (
	SourceDrand     SourceKind = "drand"     // a round of a drand network, with its signature
	SourceAnnounced SourceKind = "announced" // typed in, such as a lottery's numbers; whoever checks compares it
	SourceLocal     SourceKind = "local"     // the server's own chance: development only
)

// ValueSource says where the value comes from and when it begins to exist; it is announced before.
type ValueSource struct {
	Kind SourceKind `json:"kind"`
	// Name says in words what is awaited.
	Name string `json:"name,omitempty"`
	// At is the announced moment, before which nobody can know the value.
	At time.Time `json:"at"`
	// Chain, Round and Signature (hexadecimal digits, once it exists) are of drand.
	Chain     string `json:"chain,omitempty"`
	Round     uint64 `json:"round,omitempty"`
	Signature string `json:"signature,omitempty"`
	// InsteadOf is the source that was announced and had no value in time: this one was typed in for it, and its name says
	// what it is. Chain and round are still those that were announced.
	InsteadOf SourceKind `json:"instead_of,omitempty"`
}

// DrawFlaw is one thing that is wrong with a published draw.
type DrawFlaw struct {
	// Part is the field of the document that is wrong, or "registration" for the one that was handed in.
	Part string `json:"part"`
	What string `json:"what"`
}

func (f DrawFlaw) String() string { return f.Part + ": " + f.What }

// Registration is what somebody's ticket says, for checking that it is among the leaves.
type Registration struct {
	Index uint64
	Nonce Nonce
}

// DrawVerdict is what checking a published draw came to.
type DrawVerdict struct {
	Flaws []DrawFlaw
	// Pending tells that the value isn't there yet; everything else was checked.
	Pending bool
	// Position is that of the registration that was handed in, once there is a seed.
	Position *uint64
	// Remarks are what no calculation can show and people should compare.
	Remarks []string
}

// Good tells whether nothing is wrong.
func (v DrawVerdict) Good() bool { return len(v.Flaws) == 0 }

// Verify checks a published draw. Leaves reads the leaves' file; nil takes the document's own. With a registration it also
// checks that this is among the leaves, and says its position. It is pure but for reading; the error is of reading.
//
// It can't find fakes among the registrations: these are only as impossible as the check of who somebody is makes them.
func Verify(d PublishedDraw, leaves io.Reader, own *Registration, beacons ...Beacon) (DrawVerdict, error) {
	var v DrawVerdict
	flaw := func(part, what string, arguments ...any) {
		v.Flaws = append(v.Flaws, DrawFlaw{Part: part, What: fmt.Sprintf(what, arguments...)})
	}
	if d.Format != DrawFormat {
		flaw("format", "is %d, and this program knows %d", d.Format, DrawFormat)
		return v, nil
	}
	if d.Room == "" {
		flaw("room", "is missing")
	}
	root, rootOK := hash32(d.Root)
	if !rootOK {
		flaw("root", "isn't 64 hexadecimal digits")
	}
	if err := verifyLeaves(d, leaves, own, root, rootOK, flaw); err != nil {
		return v, err
	}
	if !d.PublishedAt.Before(d.Source.At) {
		flaw("published_at", "the root was published at %s, when the value could be known since %s",
			d.PublishedAt.Format(time.RFC3339), d.Source.At.Format(time.RFC3339))
	}
	if own != nil && own.Index >= d.N {
		v.Remarks = append(v.Remarks, fmt.Sprintf("Registration %d came after the freeze: its position is %d, behind the draw.", own.Index, own.Index))
	}
	if d.Value == "" {
		v.Pending = true
		if d.Seed != "" {
			flaw("seed", "is there without a value")
		}
		return v, nil
	}
	value, err := hex.DecodeString(d.Value)
	if err != nil {
		flaw("value", "isn't hexadecimal digits")
		return v, nil
	}
	verifySource(d, value, beacons, flaw, &v)
	seed, ok := hash32(d.Seed)
	switch {
	case !ok:
		flaw("seed", "isn't 64 hexadecimal digits")
	case rootOK && seed != Seed(root, value):
		flaw("seed", "isn't SHA-256 of root and value")
	case own != nil:
		position := Position(seed, d.N, own.Index)
		v.Position = &position
	}
	return v, nil
}

func verifyLeaves(
	d PublishedDraw, leaves io.Reader, own *Registration, root [sha256.Size]byte, rootOK bool, flaw func(string, string, ...any),
) error {
	if leaves == nil {
		if d.Leaves == nil && d.N > 0 {
			return errors.New("the document doesn't have the leaves itself: hand in the file that leaves_url names")
		}
		var raw bytes.Buffer
		for i, text := range d.Leaves {
			leaf, ok := hash32(text)
			if !ok {
				flaw("leaves", "leaf %d isn't 64 hexadecimal digits", i)
			}
			raw.Write(leaf[:])
		}
		leaves = &raw
	}
	var tree Tree
	var leaf, mine [sha256.Size]byte
	if own != nil {
		mine = Leaf(d.Room, own.Index, own.Nonce)
	}
	for {
		_, err := io.ReadFull(leaves, leaf[:])
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			flaw("leaves", "end in the middle of leaf %d", tree.Len())
			break
		}
		if err != nil {
			return fmt.Errorf("reading leaf %d: %w", tree.Len(), err)
		}
		if own != nil && tree.Len() == own.Index && leaf != mine {
			flaw("registration", "leaf %d isn't that of the ticket", own.Index)
		}
		tree.Add(leaf)
		if tree.Len() > d.N {
			break // It is wrong already; how wrong doesn't matter.
		}
	}
	if tree.Len() != d.N {
		flaw("n", "is %d, and there are %d leaves or more", d.N, tree.Len())
	}
	if rootOK && tree.Root() != root {
		flaw("root", "isn't that of the leaves: one of them was changed, added, left out or moved, or the root was")
	}
	return nil
}

func verifySource(d PublishedDraw, value []byte, beacons []Beacon, flaw func(string, string, ...any), v *DrawVerdict) {
	s := d.Source
	switch s.Kind {
	case SourceDrand:
		verifyDrand(s, value, append(beacons, Quicknet), flaw)
	case SourceAnnounced:
		if s.InsteadOf != "" {
			v.Remarks = append(v.Remarks, fmt.Sprintf("The announced source was %s, round %d of %s. Administrators said that it had no value in "+
				"time, and chose another one after the registrations were known: ask why, and whether that round has a value.",
				s.InsteadOf, s.Round, s.Chain))
		}
		v.Remarks = append(v.Remarks, fmt.Sprintf("Compare the value, %s, with what was announced: %q, at %s.",
			announcedText(value), s.Name, s.At.Format(time.RFC3339)))
	case SourceLocal:
		v.Remarks = append(v.Remarks, "The value is the server's own chance. That is for development: it shows nothing about fairness.")
	default:
		flaw("source", "%q isn't a source that this program knows", s.Kind)
	}
}

func verifyDrand(s ValueSource, value []byte, beacons []Beacon, flaw func(string, string, ...any)) {
	for _, b := range beacons {
		if b.Chain != s.Chain {
			continue
		}
		if at := b.Moment(s.Round); !at.Equal(s.At) {
			flaw("source", "round %d is of %s, and was announced for %s", s.Round, at.Format(time.RFC3339), s.At.Format(time.RFC3339))
		}
		signature, err := hex.DecodeString(s.Signature)
		if err != nil {
			flaw("source", "the signature isn't hexadecimal digits")
			return
		}
		signed, err := b.Value(s.Round, signature)
		switch {
		case err != nil:
			flaw("source", "the signature of round %d: %s", s.Round, err)
		case !bytes.Equal(signed, value):
			flaw("value", "isn't that of round %d", s.Round)
		}
		return
	}
	flaw("source", "the drand network %q isn't one that this program knows", s.Chain)
}

// announcedText shows a value that was typed in as it was, where it is text.
func announcedText(value []byte) string {
	for _, r := range string(value) {
		if r < ' ' || r == '\uFFFD' {
			return hex.EncodeToString(value)
		}
	}
	return fmt.Sprintf("%q", value)
}

func hash32(text string) (h [sha256.Size]byte, ok bool) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(h) || text != strings.ToLower(text) {
		return h, false
	}
	copy(h[:], b)
	return h, true
}
