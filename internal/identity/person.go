package identity

import (
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/google/uuid"

	"jari/internal/civil"
	"jari/internal/keys"
)

// Person is somebody who was verified. Its fields are personal data and never logged.
type Person struct {
	ID        uuid.UUID
	Name      string
	BirthDate civil.Date
	Phone     string // E.164
	Language  string // ko or en
}

// LogValue shows the id alone.
func (p Person) LogValue() slog.Value { return slog.StringValue(p.ID.String()) }

// sealed is what is encrypted of a person, or of the claims of a verification.
type sealed struct {
	Name      string     `json:"name"`
	BirthDate civil.Date `json:"birth_date"`
	Phone     string     `json:"phone"` // empty where there is none
	// NewPhone is the one that a verification will take, once the old one has answered.
	NewPhone string `json:"new_phone,omitempty"`
}

// seal encrypts for one row: the context ties it to the table and the row's id.
func (s *Service) seal(table string, id uuid.UUID, c sealed) ([]byte, error) {
	plain, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encoding personal data: %w", err)
	}
	return s.data.Seal(plain, rowContext(table, id))
}

func (s *Service) open(table string, id uuid.UUID, b []byte) (c sealed, err error) {
	plain, err := s.data.Open(b, rowContext(table, id))
	if err != nil {
		return sealed{}, fmt.Errorf("a row of %s: %w", table, err)
	}
	if err := json.Unmarshal(plain, &c); err != nil {
		// The error of the decoder could repeat what it read.
		return sealed{}, fmt.Errorf("a row of %s holds something else than personal data", table)
	}
	return c, nil
}

func rowContext(table string, id uuid.UUID) []byte {
	return keys.RowContext(table, id.String())
}
