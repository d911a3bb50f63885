package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"jari/cmd/surge/load"
	"jari/cmd/surge/rig"
)

// The operations of `bench booking`: what a client sends to book a place, and what it makes of the answers.

// Names of latencies.
const (
	latencyConfirm = "confirm"
	latencyPair    = "pair"
)

// askAgain is how soon a client asks again that was refused because of too many others: sooner than it is told to, so that
// the parts are kept busy by the same number of clients. What it waits counts as its own.
const askAgain = 20 * time.Millisecond

// book returns the operation of a citizen: hold a place, confirm it. answers, if given, gets a copy of both answers.
func (b *bench) book(slots []int64, answers *[2][]byte) load.Operation {
	hold, confirm := b.paths()
	bodies := holdBodies(slots)
	return func(ctx context.Context, c *load.Conn, at load.Moment) error {
		person, ok := b.rig.People.Take()
		if !ok {
			return errors.New("more people booked than were prepared: the machine is faster than expected; shorten --duration")
		}
		begun := time.Now()
		headers := []load.Header{{Name: "Authorization", Value: "Bearer " + person.Session}, {Name: "Jari-Admission", Value: person.Admission}}
		status, answer, err := c.Send(http.MethodPut, hold, headers, bodies[choose(person.ID, len(bodies))])
		for err == nil && status == http.StatusServiceUnavailable && bytes.Contains(answer, []byte(`"overloaded"`)) && ctx.Err() == nil {
			b.refused.Add(1)
			time.Sleep(askAgain)
			status, answer, err = c.Send(http.MethodPut, hold, headers, bodies[choose(person.ID, len(bodies))])
		}
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			return unexpected("hold", status, answer)
		}
		if answers != nil {
			answers[0] = bytes.Clone(answer)
		}
		if answer, err = sendConfirm(c, confirm, headers, answer, at, begun); err != nil {
			return err
		}
		b.promised.Add(1)
		if answers != nil {
			answers[1] = bytes.Clone(answer)
		}
		return nil
	}
}

// pretend sends the same requests to a server that reads no token. A naive server is told in two fields more who books
// what; each time it is somebody else.
func (b *bench) pretend(slots []int64, naive bool) load.Operation {
	hold, confirm := b.paths()
	bodies := holdBodies(slots)
	return func(_ context.Context, c *load.Conn, at load.Moment) error {
		n := int(b.drawn.Add(1))
		person := b.recycled[n%len(b.recycled)]
		id := rig.PersonID(b.seed, n)
		chosen := choose(id, len(bodies))
		begun := time.Now()
		headers := []load.Header{{Name: "Authorization", Value: "Bearer " + person.Session}, {Name: "Jari-Admission", Value: person.Admission}}
		status, answer, err := c.Send(http.MethodPut, hold, headers, bodies[chosen])
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			return unexpected("hold", status, answer)
		}
		if naive {
			headers = append(headers, load.Header{Name: naivePerson, Value: id.String()},
				load.Header{Name: naiveSlot, Value: strconv.FormatInt(slots[chosen], 10)})
		}
		if _, err = sendConfirm(c, confirm, headers, answer, at, begun); err != nil {
			return err
		}
		if naive {
			b.promisedNaive.Add(1)
		}
		return nil
	}
}

// sendConfirm confirms the hold that was answered, and returns the answer to that. The pair has begun with the hold.
func sendConfirm(
	c *load.Conn, path string, headers []load.Header, hold []byte, at load.Moment, begun time.Time,
) ([]byte, error) {
	body, err := confirmBody(hold)
	if err != nil {
		return nil, err
	}
	held := time.Now()
	status, answer, err := c.Send(http.MethodPut, path, headers, body)
	if err != nil {
		return nil, err
	}
	if status != http.StatusCreated {
		return nil, unexpected("confirm", status, answer)
	}
	at.Took(latencyConfirm, held)
	at.Took(latencyPair, begun)
	return answer, nil
}

func (b *bench) paths() (hold, confirm string) {
	return "/v1/campaigns/" + b.rig.Campaign.ID + "/hold", "/v1/campaigns/" + b.rig.Campaign.ID + "/booking"
}

func holdBodies(slots []int64) [][]byte {
	bodies := make([][]byte, len(slots))
	for i, s := range slots {
		bodies[i] = fmt.Appendf(nil, `{"slot_id":"%d"}`, s)
	}
	return bodies
}

// choose picks one of n by a person's id, which is as good as random.
func choose(person uuid.UUID, n int) int {
	return (int(person[12])<<16 | int(person[13])<<8 | int(person[14])) % n
}

// confirmBody makes the confirm out of the answer to a hold. The token is base64, so nothing in it is escaped.
func confirmBody(answer []byte) ([]byte, error) {
	_, after, found := bytes.Cut(answer, []byte(`"hold_token":"`))
	holdToken, _, ended := bytes.Cut(after, []byte(`"`))
	if !found || !ended {
		return nil, fmt.Errorf("the answer to a hold has no token: %.200q", answer)
	}
	body := make([]byte, 0, len(holdToken)+20)
	body = append(body, `{"hold_token":"`...)
	body = append(body, holdToken...)
	return append(body, `"}`...), nil
}

func unexpected(what string, status int, answer []byte) error {
	hint := ""
	if bytes.Contains(answer, []byte(`"slot_full"`)) {
		hint = fmt.Sprintf(" (a slot takes %d people: shorten --duration)", rig.Capacity)
	}
	return fmt.Errorf("a %s was answered with %d%s: %.300s", what, status, hint, answer)
}
