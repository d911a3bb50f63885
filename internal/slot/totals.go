package slot

// Totals are the places of a campaign, as this instance knows them: at most two seconds old.
type Totals struct {
	Slots, Capacity, Booked, Held, Free int64
}

// Totals adds up the slots of all campaigns that are known, by campaign. It reads every row once: some milliseconds for a
// million slots, so it is for whoever watches and not for whoever books.
func (s *Service) Totals() map[string]Totals {
	all := map[string]Totals{}
	for id, sh := range *s.shelves.Load() {
		all[id] = sh.totals()
	}
	return all
}

func (sh *shelf) totals() (t Totals) {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	b := sh.board.Load()
	if b == nil {
		return t
	}
	t.Slots = int64(len(b.rows))
	for _, r := range b.rows {
		t.Capacity += int64(r.capacity)
		t.Booked += int64(r.booked)
		t.Held += int64(r.held)
		t.Free += int64(r.remaining())
	}
	return t
}
