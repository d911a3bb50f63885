package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"jari/cmd/surge/load"
	"jari/internal/campaign"
	"jari/internal/slot"
)

// ages are how long after a change it was shown.
type ages []time.Duration

func (a ages) quantile(q float64) time.Duration {
	if len(a) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(a))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

const (
	// mostAges are the samples of each kind.
	mostAges = 30
	// lookEvery is how often it is looked whether a change is shown.
	lookEvery = 20 * time.Millisecond
	// shownWithin is the promise: what is shown is at most that old.
	shownWithin = 2 * time.Second
)

// watch samples how old what is shown is, while slots change and everybody else reads: of a booked place, and of a held one.
func (b *reads) watch(ctx context.Context, w *world) error {
	if err := b.alone(w.server); err != nil {
		return err
	}
	s, err := newScribe(ctx, w.rig.Pool, w.rig.Redis, w.rig.Campaign.ID)
	if err != nil {
		return err
	}
	defer s.slots.Close()
	conns, err := load.Dial(w.server.URL, b.Connections+2, b.Client)
	if err != nil {
		return err
	}
	defer load.Close(conns)
	// A slot each at two sites whose other slots change all the time.
	booked, held := w.changing[0], w.changing[len(w.changing)-1]
	others := w.changing[1 : len(w.changing)-1]
	everything := reading(slices.Concat(w.library.sites, w.library.days), nil)
	samples := max(2, min(mostAges, int(3*b.Duration.Seconds())))
	_, err = b.writeWhile(ctx, w, others, func() error {
		group, ctx := errgroup.WithContext(ctx)
		reading, stop := context.WithCancel(ctx)
		defer stop()
		group.Go(func() error {
			for reading.Err() == nil {
				if _, err := load.Closed(ctx, conns[2:], 100*time.Millisecond, nil, everything); err != nil {
					return err
				}
			}
			return nil
		})
		var watches errgroup.Group
		watches.Go(func() (err error) {
			b.booked, err = sample(ctx, conns[0], w.library.sites[0], booked, samples, func(int) (int, time.Time, error) {
				copies, committed, err := s.change(ctx, []int64{booked})
				if err != nil {
					return 0, committed, err
				}
				return copies[0].Capacity - copies[0].Booked, committed, nil
			})
			return err
		})
		watches.Go(func() (err error) {
			b.held, err = sample(ctx, conns[1], w.library.sites[len(w.library.sites)-1], held, samples,
				func(remaining int) (int, time.Time, error) {
					_, err := s.slots.Place(ctx, slot.Wish{
						Campaign: &campaign.Campaign{Document: campaign.Document{ID: w.rig.Campaign.ID, HoldSeconds: 300}},
						Slot:     slot.Place{ID: held}, Person: uuid.New(), Actor: uuid.New(), Wave: "all", RulesVersion: 1, JudgedAt: time.Now(),
					})
					return remaining - 1, time.Now(), err
				})
			return err
		})
		err := watches.Wait()
		stop()
		return errors.Join(err, group.Wait())
	})
	return err
}

// sample changes a slot again and again, and looks how long after that its document shows it. Between two changes it goes on
// looking for a while of any length, so that changes aren't always made just after a new edition.
func sample(
	ctx context.Context, c *load.Conn, d *document, id int64, samples int,
	change func(remaining int) (expected int, at time.Time, err error),
) (found ages, err error) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	random := rand.New(rand.NewPCG(7, 8)) //nolint:gosec // repeatable, and nobody gains by guessing
	var at, next time.Time
	expected := -1
	for len(found) < samples {
		status, answer, err := c.Send(http.MethodGet, d.path, nil, nil)
		if err != nil {
			return nil, err
		}
		if status != http.StatusOK {
			return nil, unexpected("GET of "+d.path, status, answer)
		}
		seen := time.Now()
		remaining, err := remainingOf(answer, id)
		if err != nil {
			return nil, err
		}
		switch {
		case expected >= 0 && remaining == expected:
			found = append(found, seen.Sub(at))
			expected, next = -1, seen.Add(time.Duration(random.Int64N(int64(time.Second))))
		case expected >= 0 && seen.Sub(at) > 10*shownWithin:
			return nil, fmt.Errorf("slot %d is shown with %d for %s after it became %d", id, remaining, seen.Sub(at), expected)
		case expected < 0 && seen.After(next):
			if expected, at, err = change(remaining); err != nil {
				return nil, err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return found, nil
}

// remainingOf finds what remains of a slot in its site's document.
func remainingOf(body []byte, id int64) (int, error) {
	var d struct {
		Slots []struct {
			ID        string `json:"slot_id"`
			Remaining int    `json:"remaining"`
		} `json:"slots"`
	}
	if err := json.Unmarshal(body, &d); err != nil {
		return 0, fmt.Errorf("a site's document can't be read: %w", err)
	}
	for _, s := range d.Slots {
		if s.ID == strconv.FormatInt(id, 10) {
			return s.Remaining, nil
		}
	}
	return 0, fmt.Errorf("slot %d isn't in its site's document", id)
}

// end looks at all documents of a world once more, and at what its server has in use now.
func (b *reads) end(w *world) error {
	if err := b.alone(w.server); err != nil {
		return err
	}
	conns, err := load.Dial(w.server.URL, 1, b.Client)
	if err != nil {
		return err
	}
	defer load.Close(conns)
	if err := w.library.fetch(conns[0]); err != nil {
		return err
	}
	if b.meter != nil {
		if w.atEnd, err = b.meter.Resident(w.server.Pid()); err != nil {
			return err
		}
	}
	if b.Reconcile {
		return nil
	}
	return w.release()
}
