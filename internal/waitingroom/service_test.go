package waitingroom_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"jari/internal/civil"
	"jari/internal/fault"
	"jari/internal/keys"
	"jari/internal/token"
	"jari/internal/waitingroom"
)

// handClock is a clock whose real time is moved by hand, for expiries that no store stamps.
type handClock struct{ real time.Time }

func (c *handClock) Now() time.Time        { return c.real.Add(c.Offset()) }
func (c *handClock) Real() time.Time       { return c.real }
func (c *handClock) Offset() time.Duration { return -4 * 365 * 24 * time.Hour }

const lifetime = 30 * time.Minute

func setup(t *testing.T) (*waitingroom.Service, *handClock, *token.Box) {
	t.Helper()
	line, err := keys.Generate("development", keys.Tokens)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := keys.NewSealer(line, "development", keys.Tokens)
	if err != nil {
		t.Fatal(err)
	}
	box := token.NewBox(sealer, "development")
	clk := &handClock{real: time.Date(2025, time.March, 3, 12, 0, 0, 0, time.UTC)}
	return waitingroom.NewService(waitingroom.Options{
		Clock: clk, Tokens: box, Limits: waitingroom.Limits{Admission: lifetime, Longest: lifetime},
	}), clk, box
}

func TestARoomWithoutALineAdmitsAtOnce(t *testing.T) {
	t.Parallel()
	s, clk, box := setup(t)
	person := uuid.New()
	a, err := s.AdmitAtOnce("room", "campaign", person)
	if err != nil {
		t.Fatal(err)
	}
	if want := clk.Real().Add(lifetime); !a.ExpiresAt.Equal(want) {
		t.Errorf("it expires at %s, not at %s", a.ExpiresAt, want)
	}
	inside, err := box.OpenAdmission(a.Token)
	if err != nil {
		t.Fatal(err)
	}
	if inside.Room != "room" || inside.Campaign != "campaign" || inside.Person != person || !inside.ExpiresAt.Equal(a.ExpiresAt) {
		t.Errorf("the token says %+v", inside)
	}
}

func TestAnAdmissionIsCheckedAtEveryStep(t *testing.T) {
	t.Parallel()
	anybody := uuid.New()
	for name, tc := range map[string]struct {
		text     func(t *testing.T, admitted string, box *token.Box) string
		campaign string
		person   uuid.UUID
		later    time.Duration
		want     fault.Code
	}{
		"a living one of this person to this campaign passes": {campaign: "campaign", person: anybody},
		"one passes until its last instant":                   {campaign: "campaign", person: anybody, later: lifetime - 1},
		"one that expires now is over":                        {campaign: "campaign", person: anybody, later: lifetime, want: fault.CodeAdmissionExpired},
		"one that expired is over":                            {campaign: "campaign", person: anybody, later: 24 * time.Hour, want: fault.CodeAdmissionExpired},
		"admission_of_another_person":                         {campaign: "campaign", person: uuid.New(), want: fault.CodeAdmissionOfAnother},
		"one to another campaign is of another":               {campaign: "elsewhere", person: anybody, want: fault.CodeAdmissionOfAnother},
		"one of another tells nothing of its age":             {campaign: "campaign", person: uuid.New(), later: 24 * time.Hour, want: fault.CodeAdmissionOfAnother},
		"nobody isn't anybody":                                {campaign: "campaign", person: uuid.Nil, want: fault.CodeAdmissionOfAnother},
		"none is required": {
			text:     func(*testing.T, string, *token.Box) string { return "" },
			campaign: "campaign", person: anybody, want: fault.CodeAdmissionRequired,
		},
		"half of one is none": {
			text:     func(_ *testing.T, admitted string, _ *token.Box) string { return admitted[:len(admitted)/2] },
			campaign: "campaign", person: anybody, want: fault.CodeAdmissionRequired,
		},
		"a session of the person isn't one": {
			text: func(t *testing.T, _ string, box *token.Box) string {
				text, err := box.SealSession(token.Session{
					ID: uuid.New(), Person: anybody, Actor: anybody, BirthDate: civil.Date{Year: 1967, Month: time.January, Day: 1},
					ExpiresAt: time.Date(2030, time.January, 1, 0, 0, 0, 0, time.UTC),
				})
				if err != nil {
					t.Fatal(err)
				}
				return text
			},
			campaign: "campaign", person: anybody, want: fault.CodeAdmissionRequired,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, clk, box := setup(t)
			a, err := s.AdmitAtOnce("campaign", "campaign", anybody)
			if err != nil {
				t.Fatal(err)
			}
			text := a.Token
			if tc.text != nil {
				text = tc.text(t, text, box)
			}
			clk.real = clk.real.Add(tc.later)
			_, err = s.Check(text, tc.campaign, tc.person)
			if got := fault.CodeOf(err); got != tc.want {
				t.Fatalf("answered %q, not %q", got, tc.want)
			}
		})
	}
}
