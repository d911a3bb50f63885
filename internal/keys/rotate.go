package keys

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

// A keyset rotates in three steps, each rolled out to every instance before the next: Add, so that all can open with the new
// key; Promote, so that all seal with it; Retire, when nothing that was sealed with the old one is needed any more. At every
// moment whatever one instance seals, every other can open.

// Key is one of a keyset, without its secret.
type Key struct {
	ID      uint32
	Primary bool // what is sealed now is sealed with it
}

// Step is a step of a rotation.
type Step string

// The steps, in their order.
const (
	Add     Step = "add"
	Promote Step = "promote"
	Retire  Step = "retire"
)

// Rotate returns the line of a keyset after one step. It refuses a keyset of another environment or purpose, a step that
// doesn't come next, and the index: a keyed hash must keep finding its row.
func Rotate(line, environment string, purpose Purpose, step Step) (string, error) {
	if purpose == Index {
		return "", errors.New("the index keeps its key: a keyed hash made with another would find nobody")
	}
	handle, err := parse(line, environment, purpose)
	if err != nil {
		return "", err
	}
	list, err := list(handle)
	if err != nil {
		return "", err
	}
	m := keyset.NewManagerFromHandle(handle)
	switch step {
	case Add:
		if len(list) > 1 {
			return "", fmt.Errorf("has %d keys already: promote the newest, and retire the old one, first", len(list))
		}
		id, err := m.Add(template(purpose))
		if err != nil {
			return "", fmt.Errorf("adding a key: %w", err)
		}
		if err := m.Enable(id); err != nil {
			return "", fmt.Errorf("enabling a key: %w", err)
		}
	case Promote:
		newest := list[len(list)-1]
		if newest.Primary {
			return "", errors.New("its newest key is the primary one already: add one first")
		}
		if err := m.SetPrimary(newest.ID); err != nil {
			return "", fmt.Errorf("promoting a key: %w", err)
		}
	case Retire:
		if !list[len(list)-1].Primary {
			return "", errors.New("its newest key isn't the primary one yet: promote it first")
		}
		if len(list) == 1 {
			return "", errors.New("has no other key than the primary one")
		}
		for _, k := range list[:len(list)-1] {
			if err := m.Delete(k.ID); err != nil {
				return "", fmt.Errorf("retiring a key: %w", err)
			}
		}
	default:
		return "", fmt.Errorf("%q is no step: %s, %s or %s", step, Add, Promote, Retire)
	}
	rotated, err := m.Handle()
	if err != nil {
		return "", fmt.Errorf("rotating a keyset: %w", err)
	}
	return write(rotated, environment, purpose)
}

// List returns the keys of a keyset, the oldest first.
func List(line, environment string, purpose Purpose) ([]Key, error) {
	handle, err := parse(line, environment, purpose)
	if err != nil {
		return nil, err
	}
	return list(handle)
}

func list(handle *keyset.Handle) ([]Key, error) {
	keys := make([]Key, handle.Len())
	for i := range keys {
		entry, err := handle.Entry(i)
		if err != nil {
			return nil, errors.New("is damaged: a key can't be read")
		}
		keys[i] = Key{ID: entry.KeyID(), Primary: entry.IsPrimary()}
	}
	return keys, nil
}

// write makes the line of a keyset.
func write(handle *keyset.Handle, environment string, purpose Purpose) (string, error) {
	var b bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewBinaryWriter(&b)); err != nil {
		return "", fmt.Errorf("writing a keyset: %w", err)
	}
	return strings.Join([]string{"jari", environment, string(purpose), base64.StdEncoding.EncodeToString(b.Bytes())}, ":"), nil
}

// PrefixOf is how everything begins that was sealed with a key, so that a store can count it without opening it.
func PrefixOf(keyID uint32) []byte { return binary.BigEndian.AppendUint32([]byte{1}, keyID) }

// RowContext ties what is sealed to its row: sealed bytes that are moved to another row or table don't open.
func RowContext(table, id string) []byte { return []byte("jari " + table + " " + id) }
