package waitingroom

import (
	"time"

	"github.com/google/uuid"

	"jari/internal/clock"
	"jari/internal/fault"
	"jari/internal/token"
)

// Service admits people.
type Service struct {
	clock    clock.Clock
	tokens   *token.Box
	lifetime time.Duration
}

// NewService returns a service whose admissions last for the given time.
func NewService(clk clock.Clock, tokens *token.Box, lifetime time.Duration) *Service {
	return &Service{clock: clk, tokens: tokens, lifetime: lifetime}
}

// Admission lets a person choose.
type Admission struct {
	Token     string
	ExpiresAt time.Time // real time
}

// Admit admits a person to the campaign of a room without a line.
func (s *Service) Admit(room, campaign string, person uuid.UUID) (Admission, error) {
	now := s.clock.Real()
	expires := now.Add(s.lifetime)
	text, err := s.tokens.SealAdmission(token.Admission{
		Room: room, Campaign: campaign, Person: person, IssuedAt: now, ExpiresAt: expires,
	})
	return Admission{Token: text, ExpiresAt: expires}, err
}

// Check returns nil if the text is a living admission of this person to this campaign: otherwise
// fault.CodeAdmissionRequired, fault.CodeAdmissionOfAnother or fault.CodeAdmissionExpired.
func (s *Service) Check(text, campaign string, person uuid.UUID) error {
	a, err := s.tokens.OpenAdmission(text)
	switch {
	case err != nil:
		return fault.New(fault.Forbidden, fault.CodeAdmissionRequired)
	case a.Person != person || a.Campaign != campaign:
		return fault.New(fault.Forbidden, fault.CodeAdmissionOfAnother)
	case !s.clock.Real().Before(a.ExpiresAt):
		return fault.New(fault.Forbidden, fault.CodeAdmissionExpired)
	}
	return nil
}
