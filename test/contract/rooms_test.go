package contract_test

import (
	"net/http"
	"testing"
	"time"

	"jari/internal/fault"
	"jari/internal/httpapi"
	"jari/test/jaritest"
)

// threeRooms are one in each stage: E3 is open, F1 registers for a draw, F2 is still to come.
const threeRooms = `
rooms:
  - {room: open, waves: [E3], admit_per_second: 100}
  - room: drawn
    waves: [F1]
    registration_opens_at: "2021-07-19T19:00:00+09:00"
    registration_closes_at: "2021-07-19T19:59:00+09:00"
    draw: {source: announced, value_at: "2021-07-19T19:59:30+09:00"}
    admit_per_second: 100
  - {room: later, waves: [F2], admit_per_second: 100}
`

func roomPath(room, rest string) string { return "/v1/rooms/" + jaritest.Small + "." + room + rest }

// inRooms is a refusal on a server with three rooms.
func inRooms(ask func(t *testing.T, s *jaritest.Server) jaritest.Request) refusal {
	return refusal{options: []jaritest.Option{jaritest.WithRooms(threeRooms)}, ask: func(t *testing.T, s *jaritest.Server) jaritest.Request {
		for room, state := range map[string]httpapi.RoomState{"open": httpapi.RoomStateOpen, "drawn": httpapi.RoomStateRegistration} {
			inState(t, s, room, state)
		}
		return ask(t, s)
	}}
}

func inState(t *testing.T, s *jaritest.Server, room string, state httpapi.RoomState) {
	t.Helper()
	jaritest.Eventually(t, 20*time.Second, "the room "+room+" is "+string(state), func() bool {
		var r httpapi.RoomStatus
		s.Do(t, http.MethodGet, roomPath(room, "/status"), nil).Want(t, http.StatusOK).Into(t, &r)
		return r.State == state
	})
}

func inRoomAs(birthDate, method, room, rest string, body any) refusal {
	return inRooms(func(t *testing.T, s *jaritest.Server) jaritest.Request {
		c := s.Stranger(birthDate)
		c.Verify(t)
		return c.Request(method, roomPath(room, rest), body)
	})
}

func dial(t *testing.T, s *jaritest.Server, method, room, rest string, body any) jaritest.Request {
	t.Helper()
	return jaritest.JSON(method, "/admin/v1/rooms/"+jaritest.Small+"."+room+rest, body).
		With("Authorization", "Bearer "+s.AdminKey(t, "operator"))
}

// announced is the room of a draw whose value is due.
func announced(t *testing.T, s *jaritest.Server) {
	t.Helper()
	c := s.Stranger(jaritest.BornForF1)
	c.Verify(t)
	c.Do(t, http.MethodPut, roomPath("drawn", "/registration"), nil).Want(t, http.StatusOK)
	run(t, s, `UPDATE rooms SET state = 'drawing', drawn = registered, root = sha256('x'), draw_source = 'announced', value_at = now(),
		published_at = now() WHERE room_id LIKE '%.drawn'`)
}

func init() {
	for code, way := range map[fault.Code]refusal{
		fault.CodeRoomNotOpen:      inRoomAs(jaritest.BornForF2, http.MethodPut, "later", "/ticket", nil),
		fault.CodeRegistrationOver: inRoomAs(jaritest.BornForE3, http.MethodPut, "open", "/registration", nil),
		fault.CodePlaceRequired:    inRoomAs(jaritest.BornForE3, http.MethodPut, "open", "/admission", nil),
		fault.CodeTicketInvalid:    inRoomAs(jaritest.BornForE3, http.MethodPut, "open", "/admission", map[string]any{"ticket": "x"}),
		fault.CodeRoomClosed: inRooms(func(t *testing.T, s *jaritest.Server) jaritest.Request {
			c := s.Stranger(jaritest.BornForE3)
			c.Verify(t)
			s.Send(t, dial(t, s, http.MethodPatch, "open", "", map[string]any{"state": "closed"})).Want(t, http.StatusOK)
			return c.Request(http.MethodPut, roomPath("open", "/ticket"), nil)
		}),
		fault.CodeNotYourTurn: inRooms(func(t *testing.T, s *jaritest.Server) jaritest.Request {
			c := s.Stranger(jaritest.BornForF1)
			c.Verify(t)
			c.Do(t, http.MethodPut, roomPath("drawn", "/registration"), nil).Want(t, http.StatusOK)
			return c.Request(http.MethodPut, roomPath("drawn", "/admission"), nil)
		}),
		fault.CodeTicketOfAnother: inRooms(func(t *testing.T, s *jaritest.Server) jaritest.Request {
			c, other := s.Stranger(jaritest.BornForE3), s.Stranger(jaritest.BornForE3)
			c.Verify(t)
			other.Verify(t)
			var ticket httpapi.Ticket
			other.Do(t, http.MethodPut, roomPath("open", "/ticket"), nil).Want(t, http.StatusOK).Into(t, &ticket)
			return c.Request(http.MethodPut, roomPath("open", "/admission"), map[string]any{"ticket": ticket.Ticket})
		}),
		fault.CodeRoomElsewhere: inRooms(func(t *testing.T, s *jaritest.Server) jaritest.Request {
			return hold(s.NewCitizen(t, jaritest.BornForE3), s, s.Slot(t, jaritest.SiteOfOne, dayE3))
		}),
		fault.CodeRoomState: inRooms(func(t *testing.T, s *jaritest.Server) jaritest.Request {
			return dial(t, s, http.MethodPatch, "later", "", map[string]any{"state": "open"})
		}),
		fault.CodeNoDraw: inRooms(func(t *testing.T, s *jaritest.Server) jaritest.Request {
			return dial(t, s, http.MethodPut, "later", "/draw", map[string]any{"value": "00"})
		}),
		fault.CodeSecondPerson: inRooms(func(t *testing.T, s *jaritest.Server) jaritest.Request {
			announced(t, s)
			q := dial(t, s, http.MethodPut, "drawn", "/draw", map[string]any{"value": "0102"})
			s.Send(t, q).Want(t, http.StatusOK)
			return q
		}),
		fault.CodeValueDiffers: inRooms(func(t *testing.T, s *jaritest.Server) jaritest.Request {
			announced(t, s)
			s.Send(t, dial(t, s, http.MethodPut, "drawn", "/draw", map[string]any{"value": "0102"})).Want(t, http.StatusOK)
			return dial(t, s, http.MethodPut, "drawn", "/draw", map[string]any{"value": "0103"})
		}),
	} {
		refusals[code] = way
	}
}
