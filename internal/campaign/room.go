package campaign

import (
	"fmt"
	"time"
)

// Room is a waiting room in front of the waves of one opening. A wave that no room names has no line.
type Room struct {
	ID    string   `json:"room"`
	Waves []string `json:"waves"`
	// RegistrationOpensAt and RegistrationClosesAt bound the registration for the draw; both or neither.
	RegistrationOpensAt  string    `json:"registration_opens_at,omitempty"`
	RegistrationClosesAt string    `json:"registration_closes_at,omitempty"`
	Draw                 *RoomDraw `json:"draw,omitempty"`
	// AdmitPerSecond is how many people a second are to come in, MaxActive how many may be inside; 0 is no limit.
	AdmitPerSecond int `json:"admit_per_second"`
	MaxActive      int `json:"max_active,omitempty"`
	// GraceSeconds is how long who is called has to come; 600 where it is left out.
	GraceSeconds int `json:"grace_seconds,omitempty"`
	// LatePercent is the late lane's share of the rate; 10 where it is left out.
	LatePercent int    `json:"late_percent,omitempty"`
	Message     *Words `json:"message,omitempty"`
}

// RoomDraw says where the public value of a draw comes from, and when.
type RoomDraw struct {
	Source  string `json:"source"`
	ValueAt string `json:"value_at,omitempty"`
}

// Line is a waiting room, ready to be asked. Its instants are zero where there is no draw.
type Line struct {
	Room
	// FullID is the room's id in addresses: the campaign's and the room's.
	FullID                         string
	RegistrationOpensAt, FreezesAt time.Time
	OpensAt, ClosesAt, ValueAt     time.Time
	Grace                          time.Duration
	LateShare                      float64
}

const (
	maxRooms       = 20
	maxRoomID      = 64      // of the id in addresses
	maxAdmissions  = 100_000 // a second
	maxInside      = 10_000_000
	defaultGrace   = 600
	defaultLate    = 10
	leastToPublish = 20 * time.Second // between the freeze and the value: publishing, and time for everybody to see it
)

// SourceLocal is the draw source that only development may have: its value proves nothing to anybody.
const SourceLocal = "local"

// developmentOnly refuses what is for development only, and tells whether there was any.
func (f *file) developmentOnly(c *Campaign) (found bool) {
	for i, l := range c.Lines {
		if l.Draw != nil && l.Draw.Source == SourceLocal {
			f.refuse(fmt.Sprintf("rooms[%d].draw.source", i), "local is for development only: nobody could check such a draw")
			found = true
		}
	}
	return found
}

// losesDraw refuses what takes a room, or its draw, from those who have registered in it, and tells whether there was any:
// they wait to be drawn, and nobody else could put them in order.
func (f *file) losesDraw(c, before *Campaign, now time.Time) (found bool) {
	for _, was := range before.Lines {
		if was.Draw == nil || now.Before(was.RegistrationOpensAt) || !now.Before(was.ClosesAt) {
			continue
		}
		is, kept := c.Line(was.FullID)
		if kept && is.Draw != nil {
			continue
		}
		found = true
		path := "rooms"
		for i, l := range c.Lines {
			if l.FullID == was.FullID {
				path = fmt.Sprintf("rooms[%d].draw", i)
			}
		}
		f.refuse(path, "people register in the room %s since %s: it has to stay until it is over, with a draw",
			was.Room.ID, was.RegistrationOpensAt.In(c.Location).Format(time.RFC3339))
	}
	return found
}

// roomID is the id of a room in addresses. Campaigns' ids have no dot.
func roomID(campaign, room string) string { return campaign + "." + room }

// RoomOf is the room in front of a wave: the campaign's own, which admits at once, where there is no line.
func (c *Campaign) RoomOf(wave string) string {
	for _, l := range c.Lines {
		for _, w := range l.Waves {
			if w == wave {
				return l.FullID
			}
		}
	}
	return c.Room()
}

// Line returns the waiting room with an id, if the campaign has it.
func (c *Campaign) Line(room string) (Line, bool) {
	for _, l := range c.Lines {
		if l.FullID == room {
			return l, true
		}
	}
	return Line{}, false
}

// AdmitsAtOnce tells whether some wave of the campaign has no line.
func (c *Campaign) AdmitsAtOnce() bool {
	for _, w := range c.Waves {
		if c.RoomOf(w.ID) == c.Room() {
			return true
		}
	}
	return false
}

// rooms compiles the waiting rooms.
func (c *compilation) rooms() {
	if len(c.Rooms) > maxRooms {
		c.refuse("rooms", "their number is %d and must be between 0 and %d", len(c.Rooms), maxRooms)
		return
	}
	ids, inRoom := map[string]int{}, map[string]string{}
	for i, r := range c.Rooms {
		path := fmt.Sprintf("rooms[%d]", i)
		if !partID.MatchString(r.ID) {
			c.refuse(path+".room", "%q must be 1 to 32 letters, digits, dashes and underscores", r.ID)
		} else if full := roomID(c.ID, r.ID); len(full) > maxRoomID {
			c.refuse(path+".room", "%q has %d characters, at most %d are possible", full, len(full), maxRoomID)
		} else if at, twice := ids[r.ID]; twice {
			c.refuse(path+".room", "%q is the id of rooms[%d] too", r.ID, at)
		} else {
			ids[r.ID] = i
		}
		l := Line{Room: r, FullID: roomID(c.ID, r.ID)}
		c.opening(path, &l, inRoom)
		c.registration(path, &l)
		for _, limit := range []struct {
			field              string
			value, least, most int
		}{
			{"admit_per_second", r.AdmitPerSecond, 1, maxAdmissions},
			{"max_active", r.MaxActive, 0, maxInside},
			{"grace_seconds", orElse(r.GraceSeconds, defaultGrace), 30, 24 * 3600},
			{"late_percent", orElse(r.LatePercent, defaultLate), 1, 50},
		} {
			if limit.value < limit.least || limit.value > limit.most {
				c.refuse(path+"."+limit.field, "is %d and must be between %d and %d", limit.value, limit.least, limit.most)
			}
		}
		l.Grace = time.Duration(orElse(r.GraceSeconds, defaultGrace)) * time.Second
		l.LateShare = float64(orElse(r.LatePercent, defaultLate)) / 100
		if r.Message != nil {
			c.words(path+".message", *r.Message)
		}
		c.Lines = append(c.Lines, l)
	}
}

func orElse(value, otherwise int) int {
	if value == 0 {
		return otherwise
	}
	return value
}

// opening finds the instant at which the waves of a room open together, and the last at which one closes.
func (c *compilation) opening(path string, l *Line, inRoom map[string]string) {
	if len(l.Waves) == 0 {
		c.refuse(path+".waves", "must not be empty")
	}
	for i, id := range l.Waves {
		at := fmt.Sprintf("%s.waves[%d]", path, i)
		wave := -1
		for j, w := range c.Waves {
			if w.ID == id {
				wave = j
			}
		}
		if wave < 0 {
			c.refuse(at, "there is no wave %q", id)
			continue
		}
		if other, twice := inRoom[id]; twice {
			c.refuse(at, "the wave %s has the room %s already", id, other)
			continue
		}
		inRoom[id] = l.Room.ID
		o := c.Openings[wave]
		switch {
		case l.OpensAt.IsZero():
			l.OpensAt, l.ClosesAt = o.OpensAt, o.ClosesAt
		case !o.OpensAt.Equal(l.OpensAt):
			c.refuse(at, "the waves of a room open at the same instant, and %s doesn't open when %s does", id, l.Waves[0])
		case o.ClosesAt.After(l.ClosesAt):
			l.ClosesAt = o.ClosesAt
		}
	}
}

// registration checks the instants of a draw: registration opens, closes, the value comes, the room opens.
func (c *compilation) registration(path string, l *Line) {
	r := l.Room
	if r.Draw == nil {
		if r.RegistrationOpensAt != "" || r.RegistrationClosesAt != "" {
			c.refuse(path+".draw", "is missing: who registers is drawn")
		}
		return
	}
	for _, needed := range []struct{ field, value string }{
		{"registration_opens_at", r.RegistrationOpensAt}, {"registration_closes_at", r.RegistrationClosesAt},
	} {
		if needed.value == "" {
			c.refuse(path+"."+needed.field, "is missing: a draw is among those who register")
			return
		}
	}
	before := len(c.faults)
	l.RegistrationOpensAt = c.instant(path+".registration_opens_at", r.RegistrationOpensAt)
	l.FreezesAt = c.instant(path+".registration_closes_at", r.RegistrationClosesAt)
	switch r.Draw.Source {
	case "drand", "announced":
		if r.Draw.ValueAt == "" {
			c.refuse(path+".draw.value_at", "is missing: the moment of the value is announced with the draw")
			return
		}
		l.ValueAt = c.instant(path+".draw.value_at", r.Draw.ValueAt)
	case SourceLocal:
		l.ValueAt = l.FreezesAt
	default:
		c.refuse(path+".draw.source", "%q must be drand, announced, or local (development only)", r.Draw.Source)
		return
	}
	if len(c.faults) > before || l.OpensAt.IsZero() {
		return
	}
	switch {
	case !l.RegistrationOpensAt.Before(l.FreezesAt):
		c.refuse(path+".registration_closes_at", "must be after registration_opens_at")
	case l.FreezesAt.After(l.OpensAt):
		c.refuse(path+".registration_closes_at", "must not be after the waves open")
	case r.Draw.Source != SourceLocal && l.ValueAt.Before(l.FreezesAt.Add(leastToPublish)):
		c.refuse(path+".draw.value_at", "must be at least %d seconds after registration_closes_at, so that the list is published before the value exists",
			int(leastToPublish.Seconds()))
	case l.ValueAt.After(l.OpensAt):
		c.refuse(path+".draw.value_at", "must not be after the waves open")
	}
}
