package httpapi

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/labstack/echo/v4"

	"jari/internal/booking"
	"jari/internal/pulse"
)

// Two operations make the night: placing a hold and confirming it. Holding each of their requests against the contract by
// the library, binding it and encoding its answer by generated code cost more than all else that this process does for it.
// So a request that is certainly right is read and answered here, by hand; whatever is in any way unusual goes the way of
// all others, which finds the words for what is wrong with it. A fuzz test holds both against each other: what is accepted
// here is accepted there, and understood as the same.

// rushBody is the longest body that is read here: a hold token and its name are shorter.
const rushBody = 1024

// rushed answers an operation for who asks and what was read, if it is certainly right; otherwise it says that it didn't.
type rushed func(s *Server, c echo.Context, a *asking, body []byte) (answered bool, err error)

// rush are the operations that are answered here.
var rush = map[string]rushed{"placeHold": rushHold, "confirmBooking": rushBooking}

// readings are what a request is read into: its body, and who asks.
var readings = sync.Pool{New: func() any { return new(reading) }}

type reading struct {
	body   bytes.Buffer
	asking asking
}

// rushBodies are what answers are encoded into.
var rushBodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// answerRush answers what is certainly right, after the operation's own guard, and hands on everything else.
func (s *Server) answerRush(g guard, p priority, answer rushed) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			types := r.Header["Content-Type"]
			if len(types) != 1 || types[0] != echo.MIMEApplicationJSON || r.ContentLength <= 0 || r.ContentLength > rushBody {
				return next(c)
			}
			if err := s.gate.look(p); err != nil {
				return err
			}
			asked, _ := readings.Get().(*reading)
			defer func() {
				asked.asking = asking{} // nobody keeps who asked
				readings.Put(asked)
			}()
			asked.asking.language = languages[0] // only refusals have a language, and they find it themselves
			if err := s.identify(c, g, &asked.asking); err != nil {
				return err
			}
			asked.body.Reset()
			leaveAlone(r)
			if _, err := io.CopyN(&asked.body, r.Body, r.ContentLength); err != nil {
				return handOn(c, next, asked.body.Bytes(), r.Body)
			}
			if err := s.gate.enter(p); err != nil {
				return err
			}
			answered, err := s.answerInside(c, &asked.asking, asked.body.Bytes(), answer)
			if !answered && err == nil {
				return handOn(c, next, asked.body.Bytes(), http.NoBody)
			}
			return err
		}
	}
}

// handOn has a request answered the way of all others: with the body that was read of it and what is left to read.
func handOn(c echo.Context, next echo.HandlerFunc, read []byte, rest io.Reader) error {
	c.Request().Body = io.NopCloser(io.MultiReader(bytes.NewReader(bytes.Clone(read)), rest))
	return next(c)
}

// answerInside answers, and leaves the gate whatever happens.
func (s *Server) answerInside(c echo.Context, a *asking, body []byte, answer rushed) (bool, error) {
	defer s.gate.leave()
	return answer(s, c, a, body)
}

func rushHold(s *Server, c echo.Context, a *asking, body []byte) (bool, error) {
	wish, ok := readHoldRequest(body)
	if !ok || wish.Replaces != "" { // a move reads a booking first: that waits for Postgres, and has a deadline
		return false, nil
	}
	campaign, err := s.Campaigns.Get(c.Param("campaign"))
	if err != nil {
		return false, err
	}
	who, err := s.claimant(c.Request().Context(), campaign, a.session)
	if err != nil {
		return true, err
	}
	h, err := s.Bookings.Hold(untilTheyLeave(c.Request().Context(), s.Clock), campaign, through(who, a.admission), wish)
	s.Pulse.Meter.Count(campaign.ID, pulse.Held, pulse.Who{Person: a.session.Person}, err == nil)
	if err != nil {
		return true, inCampaign(campaign, err)
	}
	hold, err := s.hold(h)
	if err != nil {
		return true, err
	}
	return true, writeRush(c.Response(), http.StatusOK, func(b []byte) []byte { return appendHold(b, hold) })
}

func rushBooking(s *Server, c echo.Context, a *asking, body []byte) (bool, error) {
	holdToken, ok := readConfirmation(body)
	if !ok {
		return false, nil
	}
	campaign, err := s.Campaigns.Get(c.Param("campaign"))
	if err != nil {
		return false, err
	}
	b, fresh, err := s.Bookings.Confirm(c.Request().Context(), campaign, a.session.Person, holdToken)
	s.Pulse.Meter.Count(campaign.ID, pulse.Booked, pulse.Who{Person: a.session.Person}, fresh)
	if err != nil {
		return true, inCampaign(campaign, err)
	}
	s.Rooms.Left(a.admission)
	status := http.StatusOK
	if fresh {
		status = http.StatusCreated
	}
	shown := s.booking(campaign, b)
	return true, writeRush(c.Response(), status, func(b []byte) []byte { return appendBooking(b, shown) })
}

// writeRush answers as the generated code does, with a line's end.
func writeRush(w *echo.Response, status int, encode func([]byte) []byte) error {
	buffer, _ := rushBodies.Get().(*bytes.Buffer)
	defer rushBodies.Put(buffer)
	buffer.Reset()
	buffer.Write(append(encode(buffer.AvailableBuffer()), '\n'))
	h := w.Header()
	h[echo.HeaderContentType] = jsonType
	h[echo.HeaderContentLength] = []string{strconv.Itoa(buffer.Len())}
	w.WriteHeader(status)
	_, err := w.Write(buffer.Bytes())
	return err
}

// readHoldRequest reads a HoldRequest that certainly fits the contract.
func readHoldRequest(body []byte) (wish booking.HoldRequest, ok bool) {
	const longest = 64
	ok = readFlat(body, func(name, value []byte) bool {
		var into *string
		switch string(name) {
		case "slot_id":
			into = &wish.Slot
		case "instead_of":
			into = &wish.InsteadOf
		case "replaces":
			into = &wish.Replaces
		}
		if into == nil || *into != "" || len(value) == 0 || len(value) > longest {
			return false
		}
		*into = string(value)
		return true
	})
	return wish, ok && wish.Slot != ""
}

// readConfirmation reads the hold token of a Confirmation that certainly fits the contract.
func readConfirmation(body []byte) (holdToken string, ok bool) {
	ok = readFlat(body, func(name, value []byte) bool {
		if string(name) != "hold_token" || holdToken != "" || len(value) == 0 {
			return false
		}
		holdToken = string(value)
		return true
	})
	return holdToken, ok && holdToken != ""
}

// readFlat reads a JSON object of texts, all of printable ASCII without escapes, and gives each member to take, until take
// doesn't want one. It is false for everything else, right or wrong.
func readFlat(body []byte, take func(name, value []byte) bool) bool {
	rest := body
	skip := func() {
		for len(rest) > 0 && (rest[0] == ' ' || rest[0] == '\n' || rest[0] == '\r' || rest[0] == '\t') {
			rest = rest[1:]
		}
	}
	symbol := func(want byte) bool {
		skip()
		if len(rest) == 0 || rest[0] != want {
			return false
		}
		rest = rest[1:]
		return true
	}
	text := func() (inside []byte, ok bool) {
		if !symbol('"') {
			return nil, false
		}
		for i, b := range rest {
			switch {
			case b == '"':
				inside, rest = rest[:i], rest[i+1:]
				return inside, true
			case b < ' ' || b > '~' || b == '\\':
				return nil, false
			}
		}
		return nil, false
	}
	if !symbol('{') {
		return false
	}
	for {
		name, ok := text()
		if !ok || !symbol(':') {
			return false
		}
		value, ok := text()
		if !ok || !take(name, value) {
			return false
		}
		if symbol(',') {
			continue
		}
		if !symbol('}') {
			return false
		}
		skip()
		return len(rest) == 0
	}
}
