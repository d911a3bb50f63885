package night

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// Report is what a night came to.
type Report struct {
	Options
	Arrivals   int `json:"arrivals"` // openings of the page, reloads among them
	Repeated   int `json:"repeated"` // that asked for a place that the person had, or was waiting for
	Registered int `json:"registered"`
	Tickets    int `json:"tickets"`
	Messages   int `json:"messages"`
	// LongestSMSLine is how many phone numbers waited for a message at the same time, at most.
	LongestSMSLine int           `json:"longest_sms_line"`
	Admitted       int           `json:"admitted"`
	Late           int           `json:"late"` // who came after their grace, into the late lane
	Booked         int           `json:"booked"`
	EndedAt        time.Duration `json:"ended_after_ns"` // since the opening; 0 if it never did
	DrawVerified   bool          `json:"draw_verified"`

	// What must not happen.
	Duplicates    int `json:"duplicates"`  // positions that two have, and persons who have two
	PlacesLost    int `json:"places_lost"` // people who came when called, or later, and didn't get in
	AdmittedTwice int `json:"admitted_twice"`
	Uncalled      int `json:"uncalled"` // people who asked to come in without having been called
	WentBack      int `json:"went_back"`
	LateAgain     int `json:"late_again"`  // who missed the late lane too
	BlocksDied    int `json:"blocks_died"` // of numbers, a second after they were taken; who waited got others
	MostInside    int `json:"most_inside"`

	// Minutes are those since the opening.
	Minutes []Minute `json:"minutes"`
	// AdmittedOfTarget is the rate of admissions in the minutes 5 to 10, as a share of the target.
	AdmittedOfTarget float64 `json:"admitted_of_target_minutes_5_to_10"`
	// Waiting is between the opening, or getting a place if that was later, and being called.
	Waiting Waiting `json:"waiting"`
	// FairByArrival is the p-value of the chi-square test of tenths by order of registration against tenths of the line,
	// and FairByDevices of the number of somebody's devices against tenths of the line.
	FairByArrival float64        `json:"fair_by_arrival_p"`
	FairByDevices float64        `json:"fair_by_devices_p"`
	Tenths        [10][10]int    `json:"tenths"` // by order of registration, then in the line
	MeanByDevices map[string]int `json:"mean_position_by_devices"`
	// Overtaken is by how much somebody who came after the opening got a lower number than one who had come before them.
	Overtaken time.Duration `json:"overtaken_ns"`

	waits []uint32 // seconds
}

// Minute is one minute of the open room.
type Minute struct {
	Called   int           `json:"called"`
	Admitted int           `json:"admitted"`
	Inside   int           `json:"inside"` // at its end
	Health   float64       `json:"health"` // at its end
	Commit   time.Duration `json:"commit_ns"`
}

// Waiting is a distribution.
type Waiting struct {
	P10       time.Duration `json:"p10_ns"`
	P50       time.Duration `json:"p50_ns"`
	P90       time.Duration `json:"p90_ns"`
	P99       time.Duration `json:"p99_ns"`
	Max       time.Duration `json:"max_ns"`
	PerMinute []int         `json:"people_per_minute_waited"`
}

func (r *Report) minute(second uint32) *Minute {
	i := 0
	if second > opensAt {
		i = int(second-opensAt) / 60
	}
	for len(r.Minutes) <= i {
		r.Minutes = append(r.Minutes, Minute{})
	}
	return &r.Minutes[i]
}

func (r *Report) waited(p *person, second uint32) {
	r.waits = append(r.waits, second-min(second, max(opensAt, p.ticketAt/1000)))
}

// conclude counts what is known only at the end.
func (n *night) conclude() {
	r, l := &n.report, n.ledger
	for _, p := range n.people {
		if p.fate != never && !p.admitted {
			r.PlacesLost++
		}
	}
	// A reload or another device that got a second place shows as more places than people.
	r.Tickets, r.BlocksDied = l.given(), l.died
	r.Duplicates += max(0, r.Tickets-len(n.people))
	for _, others := range l.twice {
		r.Duplicates += len(others)
	}
	for _, m := range r.Minutes {
		r.MostInside = max(r.MostInside, m.Inside)
	}
	if len(r.Minutes) >= 10 {
		admitted := 0
		for _, m := range r.Minutes[5:10] {
			admitted += m.Admitted
		}
		r.AdmittedOfTarget = float64(admitted) / 300 / n.Target
	}
	latest := uint32(0)
	for _, key := range l.numbers {
		if key == 0 {
			continue
		}
		at := n.people[personOf(key-1)].asked
		if at < latest {
			r.Overtaken = max(r.Overtaken, time.Duration(latest-at)*time.Millisecond)
		}
		latest = max(latest, at)
	}
	n.judgeFairness()
	slices.Sort(r.waits)
	at := func(q float64) time.Duration {
		if len(r.waits) == 0 {
			return 0
		}
		return time.Duration(r.waits[int(q*float64(len(r.waits)-1))]) * time.Second
	}
	r.Waiting = Waiting{P10: at(.1), P50: at(.5), P90: at(.9), P99: at(.99), Max: at(1)}
	for _, w := range r.waits {
		for len(r.Waiting.PerMinute) <= int(w/60) {
			r.Waiting.PerMinute = append(r.Waiting.PerMinute, 0)
		}
		r.Waiting.PerMinute[w/60]++
	}
	r.waits = nil
}

func (n *night) judgeFairness() {
	r, l := &n.report, n.ledger
	drawn := uint64(len(n.order))
	if drawn < 1000 {
		return
	}
	tenth := func(i uint64) uint64 { return i * 10 / drawn }
	byDevices := map[uint8]*[10]int{}
	sum, count := map[uint8]int{}, map[uint8]int{}
	for i, position := range n.position {
		r.Tenths[tenth(uint64(i))][tenth(uint64(position))]++
		devices := n.people[personOf(l.registered[i])].devices
		if byDevices[devices] == nil {
			byDevices[devices] = &[10]int{}
		}
		byDevices[devices][tenth(uint64(position))]++
		sum[devices] += int(position)
		count[devices]++
	}
	rows := make([][]int, 0, 10)
	for i := range r.Tenths {
		rows = append(rows, r.Tenths[i][:])
	}
	r.FairByArrival = independent(rows)
	rows = rows[:0]
	r.MeanByDevices = map[string]int{}
	for devices := range uint8(1 << deviceBits) {
		if row := byDevices[devices]; row != nil {
			rows = append(rows, row[:])
			r.MeanByDevices[strconv.FormatUint(uint64(devices), 10)] = sum[devices] / count[devices]
		}
	}
	r.FairByDevices = independent(rows)
}

// leastFair is the p-value below which a draw isn't taken for a fair one. One night of a million that are is refused.
const leastFair = 1e-6

// Judge says what was wrong with the night.
func (r *Report) Judge() (wrong []string) {
	say := func(bad bool, what string, arguments ...any) {
		if bad {
			wrong = append(wrong, fmt.Sprintf(what, arguments...))
		}
	}
	say(r.Duplicates > 0, "%d places too many were given: a position to two people, or two positions to one", r.Duplicates)
	say(r.PlacesLost > 0, "%d people lost their place", r.PlacesLost)
	say(r.AdmittedTwice > 0, "%d people were admitted twice", r.AdmittedTwice)
	say(r.Uncalled > 0, "%d people asked to come in without having been called", r.Uncalled)
	say(r.WentBack > 0, "the serving number went back %d times", r.WentBack)
	say(!r.DrawVerified, "the published draw isn't right")
	say(r.EndedAt == 0, "the night never ended")
	say(r.MostInside > r.Most+int(r.Target)+1, "%d people were inside at once, and %d were to be", r.MostInside, r.Most)
	say(math.Abs(r.AdmittedOfTarget-1) > .05, "in the minutes 5 to 10, %.1f %% of the target were admitted", 100*r.AdmittedOfTarget)
	say(r.FairByArrival < leastFair, "who registered earlier stands elsewhere in the line (p = %.2g)", r.FairByArrival)
	say(r.FairByDevices < leastFair, "who has more devices stands elsewhere in the line (p = %.2g)", r.FairByDevices)
	say(r.Overtaken > overtakes, "after the opening, somebody was overtaken by one who came %s later", r.Overtaken)
	return wrong
}
