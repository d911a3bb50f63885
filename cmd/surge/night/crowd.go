package night

import "slices"

// arrival is one opening of the page by one device, in 64 bits so that ten million are sorted and kept easily: milliseconds
// of the night, person, device, whether it is a reload.
type arrival uint64

const (
	personBits  = 24
	mostPersons = 1<<personBits - 1
	deviceBits  = 3
)

func newArrival(ms, person uint32, device uint8, reload bool) arrival {
	a := uint64(ms)<<(personBits+deviceBits+1) | uint64(person)<<(deviceBits+1) | uint64(device)<<1
	if reload {
		a |= 1
	}
	return arrival(a)
}

func (a arrival) at() uint32     { return uint32(a >> (personBits + deviceBits + 1)) } //nolint:gosec // the upper 32 bits and fewer
func (a arrival) person() uint32 { return uint32(a>>(deviceBits+1)) & mostPersons }    //nolint:gosec // masked
func (a arrival) device() uint8  { return uint8(a>>1) & (1<<deviceBits - 1) }          //nolint:gosec // masked
func (a arrival) reload() bool   { return a&1 == 1 }

// makeCrowd decides who comes when, with what, and how often they reload. Seven of ten come before the opening, most of
// them in the last minutes; a minute before and three after it reload storms go through those who wait.
func (n *night) makeCrowd() {
	r := n.chance
	for id := range n.people {
		p := &n.people[id]
		p.devices = uint8(4 + r.IntN(4)) //nolint:gosec // 4 to 7
		p.verified = r.Float64() < verifiedLong
		switch x := r.Float64(); {
		case x < n.NoShow*comesLater:
			p.fate = comesLate
		case x < n.NoShow:
			p.fate = never
		case r.Float64() < newDevice:
			p.fate = comesOnNewDevice
		}
		first := n.firstWish()
		for d := range p.devices {
			at := first
			if d > 0 {
				at += r.ExpFloat64() * 60 // the family's other devices follow
			}
			n.add(at, uint32(id), d, false)
			for _, storm := range []float64{opensAt - 60, opensAt + 5, opensAt + 180} {
				if at < storm && r.Float64() < .12 {
					n.add(storm+r.ExpFloat64()*4, uint32(id), d, true)
				}
			}
		}
	}
	slices.Sort(n.arrivals)
}

func (n *night) firstWish() float64 {
	r := n.chance
	switch x := r.Float64(); {
	case x < .3: // some time in the hour before
		return r.Float64() * opensAt
	case x < .7: // towards the opening
		return max(0, opensAt-r.ExpFloat64()*400)
	default: // after it
		return opensAt + r.ExpFloat64()*600
	}
}

func (n *night) add(seconds float64, id uint32, device uint8, reload bool) {
	ms := uint32(max(1, min(seconds*1000, (lastSecond-1)*1000)))
	n.arrivals = append(n.arrivals, newArrival(ms, id, device, reload))
}
