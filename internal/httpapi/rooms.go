package httpapi

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"jari/internal/campaign"
	"jari/internal/eligibility"
	"jari/internal/fault"
	"jari/internal/pulse"
	"jari/internal/token"
	"jari/internal/waitingroom"
)

// entitledTo checks that a wave behind the room admits the person: as of the opening, or now if that has been.
func (s *Server) entitledTo(c echo.Context, t token.Session) error {
	return s.entitledIn(c.Param("room"), func(in *campaign.Campaign) (eligibility.Facts, error) {
		return s.facts(c.Request().Context(), in, t)
	})
}

// entitledIn checks it for somebody of whom the rules know what factsIn says.
func (s *Server) entitledIn(room string, factsIn func(*campaign.Campaign) (eligibility.Facts, error)) error {
	in, err := s.Campaigns.ByRoom(room)
	if err != nil {
		return err
	}
	facts, err := factsIn(in)
	if err != nil {
		return err
	}
	line, ok := in.Line(room)
	if !ok { // the campaign's own room gives no places
		return fault.New(fault.NotFound, fault.CodeRoomNotFound)
	}
	if admits(in, line, in.Rules.DecideOpening(facts, line.OpensAt)) {
		return nil
	}
	now := in.Rules.Decide(facts, s.Clock.Now())
	if admits(in, line, now) {
		return nil
	}
	return inCampaign(in, fault.New(fault.Forbidden, fault.CodeNotEligible).With(now))
}

func admits(c *campaign.Campaign, line campaign.Line, d eligibility.Decision) bool {
	return d.Answer == eligibility.Yes && c.RoomOf(d.Wave) == line.FullID
}

// Register answers PUT /v1/rooms/{room}/registration.
func (s *Server) Register(ctx context.Context, r RegisterRequestObject) (RegisterResponseObject, error) {
	t, err := s.take(ctx, r.Room, true)
	if err != nil {
		return nil, err
	}
	return Register200JSONResponse(ticket(r.Room, t)), nil
}

// TakeTicket answers PUT /v1/rooms/{room}/ticket.
func (s *Server) TakeTicket(ctx context.Context, r TakeTicketRequestObject) (TakeTicketResponseObject, error) {
	t, err := s.take(ctx, r.Room, false)
	if err != nil {
		return nil, err
	}
	return TakeTicket200JSONResponse(ticket(r.Room, t)), nil
}

// take gives a place in the line of a room.
func (s *Server) take(ctx context.Context, room string, drawn bool) (waitingroom.Ticket, error) {
	person := sessionOf(ctx).Person
	t, err := s.Rooms.Take(ctx, room, person, drawn)
	if c, unknown := s.Campaigns.ByRoom(room); unknown == nil {
		s.Pulse.Meter.Count(c.ID, pulse.Queued, pulse.Who{Person: person}, err == nil)
	}
	return t, err
}

func ticket(room string, t waitingroom.Ticket) Ticket {
	out := Ticket{RoomId: room, Ticket: t.Token}
	place := int64(t.Number) //nolint:gosec // counted by Postgres
	if t.Late {
		out.Late = &t.Late
	}
	if t.Behind {
		out.Number = &place
		return out
	}
	nonce := hex.EncodeToString(t.Nonce[:])
	out.Index, out.Nonce = &place, &nonce
	return out
}

// GetRoomStatus answers GET /v1/rooms/{room}/status where the path alone didn't.
func (s *Server) GetRoomStatus(ctx context.Context, r GetRoomStatusRequestObject) (GetRoomStatusResponseObject, error) {
	d := s.Rooms.Status(r.Room)
	if d == nil {
		return nil, fault.New(fault.NotFound, fault.CodeRoomNotFound)
	}
	return documentFor(ctx, d, shortlyHeader), nil
}

// VisitGetRoomStatusResponse writes the answer.
func (d document) VisitGetRoomStatusResponse(w http.ResponseWriter) error { return d.write(w) }

// publishedDraw is the draw, as whoever checks it reads it.
type publishedDraw struct{ body []byte }

// VisitGetDrawResponse writes the answer.
func (d publishedDraw) VisitGetDrawResponse(w http.ResponseWriter) error {
	w.Header()[echo.HeaderContentType] = jsonType
	w.Header()["Cache-Control"] = shortlyHeader
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(d.body)
	return err
}

// GetDraw answers GET /v1/rooms/{room}/draw.
func (s *Server) GetDraw(_ context.Context, r GetDrawRequestObject) (GetDrawResponseObject, error) {
	d, err := s.Rooms.Published(r.Room)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(d)
	return publishedDraw{body}, err
}

// leaves are those of a draw.
type leaves struct{ io.WriterTo }

// VisitGetLeavesResponse writes the answer. What breaks off is too short, which whoever checks it sees.
func (l leaves) VisitGetLeavesResponse(w http.ResponseWriter) error {
	w.Header().Set(echo.HeaderContentType, echo.MIMEOctetStream)
	w.Header()["Cache-Control"] = foreverHeader
	w.WriteHeader(http.StatusOK)
	_, err := l.WriteTo(w)
	return err
}

// GetLeaves answers GET /v1/rooms/{room}/draw/leaves.
func (s *Server) GetLeaves(ctx context.Context, r GetLeavesRequestObject) (GetLeavesResponseObject, error) {
	all, err := s.Rooms.Leaves(ctx, r.Room)
	if err != nil {
		return nil, err
	}
	return leaves{all}, nil
}

// entered is an admission, and the cookie that carries it for browsers.
type entered struct {
	Admit200JSONResponse
	cookie *http.Cookie
}

// VisitAdmitResponse writes the answer.
func (e entered) VisitAdmitResponse(w http.ResponseWriter) error {
	http.SetCookie(w, e.cookie)
	return e.Admit200JSONResponse.VisitAdmitResponse(w)
}

// Admit answers PUT /v1/rooms/{room}/admission.
func (s *Server) Admit(ctx context.Context, r AdmitRequestObject) (AdmitResponseObject, error) {
	c, err := s.Campaigns.ByRoom(r.Room)
	if err != nil {
		return nil, err
	}
	person := sessionOf(ctx).Person
	var a waitingroom.Admission
	if _, line := c.Line(r.Room); line {
		claim := waitingroom.Claim{
			Room: r.Room, Person: person, Carried: carriedIn(ctx),
			Holds: func(ctx context.Context) bool {
				_, live, err := s.Slots.Live(ctx, c.ID, person)
				return err == nil && live
			},
		}
		if r.Body != nil {
			claim.Ticket = orElse(r.Body.Ticket, "")
		}
		a, err = s.Rooms.Admit(ctx, claim)
	} else {
		a, err = s.Rooms.AdmitAtOnce(r.Room, c.ID, person)
	}
	s.Pulse.Meter.Count(c.ID, pulse.Admitted, pulse.Who{Person: person}, err == nil)
	if err != nil {
		return nil, err
	}
	s.Pulse.Meter.Came(r.Room)
	return entered{
		Admit200JSONResponse: Admit200JSONResponse{
			Admission: a.Token, ExpiresAt: s.shown(a.ExpiresAt), ExpiresInSeconds: int(a.ExpiresAt.Sub(s.Clock.Real()).Seconds()),
		},
		cookie: s.admissionCookie(a),
	}, nil
}

func (s *Server) admissionCookie(a waitingroom.Admission) *http.Cookie {
	return cookie(admissionCookie, a.Token, int(a.ExpiresAt.Sub(s.Clock.Real()).Seconds()))
}

// renew hands a renewed admission to a client that used one: in the header and in the cookie that it came by.
func (s *Server) renew(c echo.Context, a token.Admission) {
	if renewed, ok := s.Rooms.Used(a); ok {
		c.Response().Header().Set(admissionHeader, renewed.Token)
		c.SetCookie(s.admissionCookie(renewed))
	}
}

// roomFor is the room that leads a person to choosing in a campaign: the one of the wave that admits now, or of the next
// opening that they are entitled to; the campaign's own where there is no line.
func (s *Server) roomFor(c *campaign.Campaign, facts eligibility.Facts) string {
	now := s.Clock.Now()
	if d := c.Rules.Decide(facts, now); d.Answer == eligibility.Yes {
		return c.RoomOf(d.Wave)
	}
	room, opens := c.Room(), now
	for _, l := range c.Lines {
		if now.Before(l.ClosesAt) && (room == c.Room() || l.OpensAt.Before(opens)) &&
			admits(c, l, c.Rules.DecideOpening(facts, l.OpensAt)) {
			room, opens = l.FullID, l.OpensAt
		}
	}
	return room
}

// myRoom is where a person stands on the way to choosing, and what to do next.
func (s *Server) myRoom(ctx context.Context, c *campaign.Campaign, t token.Session) (MyCampaignStep, *MyRoom, error) {
	facts, err := s.facts(ctx, c, t)
	if err != nil {
		return "", nil, err
	}
	room := s.roomFor(c, facts)
	if _, line := c.Line(room); !line {
		return MyCampaignStepChoose, &MyRoom{RoomId: room}, nil
	}
	turn, err := s.Rooms.TurnOf(ctx, room, t.Person)
	if err != nil {
		return "", nil, err
	}
	state := RoomState(turn.State)
	mine := &MyRoom{RoomId: room, Line: true, State: &state}
	if !turn.Has {
		from := turn.From.In(c.Location)
		mine.PlacesFromAt = &from
		return MyCampaignStepRegister, mine, nil
	}
	place, serving := ticket(room, turn.Ticket), int64(turn.Serving) //nolint:gosec // counted by Postgres
	mine.Ticket, mine.Serving = &place, &serving
	if turn.Position != nil {
		position := int64(*turn.Position) //nolint:gosec // counted by Postgres
		mine.Position = &position
	}
	if turn.Late {
		mine.Late = &turn.Late
	}
	if turn.Called {
		return MyCampaignStepChoose, mine, nil
	}
	return MyCampaignStepWait, mine, nil
}

// ListRooms answers GET /admin/v1/rooms.
func (s *Server) ListRooms(ctx context.Context, _ ListRoomsRequestObject) (ListRoomsResponseObject, error) {
	all, err := s.Rooms.Rooms(ctx)
	if err != nil {
		return nil, err
	}
	list := RoomList{Rooms: []RoomStanding{}}
	for _, r := range all {
		list.Rooms = append(list.Rooms, s.standing(r))
	}
	return ListRooms200JSONResponse(list), nil
}

// GetRoom answers GET /admin/v1/rooms/{room}.
func (s *Server) GetRoom(ctx context.Context, r GetRoomRequestObject) (GetRoomResponseObject, error) {
	now, err := s.Rooms.Standing(ctx, r.Room)
	if err != nil {
		return nil, err
	}
	return GetRoom200JSONResponse(s.standing(now)), nil
}

// TurnDial answers PATCH /admin/v1/rooms/{room}.
func (s *Server) TurnDial(ctx context.Context, r TurnDialRequestObject) (TurnDialResponseObject, error) {
	d := waitingroom.Dial{State: (*waitingroom.State)(r.Body.State), Rate: r.Body.RatePerSecond, MaxActive: r.Body.MaxActive}
	if m := r.Body.Message; m != nil {
		if (m.Ko == "") != (m.En == "") {
			return nil, fault.New(fault.Invalid, fault.CodeInvalidRequest).Field("/message", "needs a text in Korean (ko) and in English (en)")
		}
		d.Message = &[2]string{m.Ko, m.En}
	}
	done := func(error) {}
	if d.State != nil && *d.State == waitingroom.Closed {
		was, err := s.Rooms.Standing(ctx, r.Room)
		if err != nil {
			return nil, err
		}
		if was.State != waitingroom.Closed { // for good: whoever waits in it waits in vain
			if done, err = s.allow(ctx, act{
				does: []string{campaign.ClosesEarly}, subject: r.Room, campaign: was.Campaign, request: r.Body, tonight: true,
			}); err != nil {
				return nil, err
			}
		}
	}
	now, err := s.Rooms.Turn(ctx, r.Room, d, waitingroom.Actor{By: keyOf(ctx).ID})
	done(err)
	if err != nil {
		return nil, err
	}
	s.Log.Info("dial turned", "room", now.Room, "state", now.State, "rate", now.Rate, "max_active", now.MaxActive, "key", keyOf(ctx).ID)
	return TurnDial200JSONResponse(s.standing(now)), nil
}

// AnnounceValue answers PUT /admin/v1/rooms/{room}/draw.
func (s *Server) AnnounceValue(ctx context.Context, r AnnounceValueRequestObject) (AnnounceValueResponseObject, error) {
	value, err := hex.DecodeString(r.Body.Value)
	if err != nil {
		return nil, fault.New(fault.Invalid, fault.CodeInvalidRequest).Field("/value", "isn't hexadecimal")
	}
	made, err := s.Rooms.Announce(ctx, r.Room, waitingroom.AnnouncedDraw{Value: value, Name: orElse(r.Body.Name, "")},
		waitingroom.Actor{By: keyOf(ctx).ID, Same: s.Staff.SameAs(keyOf(ctx).ID)})
	if err != nil {
		return nil, err
	}
	return AnnounceValue200JSONResponse{Made: made}, nil
}

func (s *Server) standing(r waitingroom.Standing) RoomStanding {
	out := RoomStanding{
		RoomId: r.Room, CampaignId: r.Campaign, State: RoomState(r.State), RatePerSecond: r.Rate, MaxActive: r.MaxActive,
		Registered: int64(r.Registered), Issued: int64(r.Issued), Serving: int64(r.Serving), //nolint:gosec // counted by Postgres
		LateIssued: int64(r.LateIssued), LateServing: int64(r.LateServing), Led: r.Led, //nolint:gosec // counted by Postgres
	}
	if r.MessageKo != "" {
		out.Message = &Words{Ko: r.MessageKo, En: r.MessageEn}
	}
	if r.Inside >= 0 {
		out.Inside = &r.Inside
	}
	if d := r.Draw; d != nil {
		out.Draw = &DrawStanding{
			ValueAt: s.shown(d.ValueAt), Made: d.Made, LateSeconds: int(d.Late.Seconds()),
			Overdue: d.Overdue, Proposed: d.Proposed,
		}
		if source := DrawStandingSource(d.Source); d.Source != waitingroom.NoDraw {
			out.Draw.Source = &source
		}
	}
	return out
}
