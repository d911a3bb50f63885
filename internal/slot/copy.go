package slot

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// copyText is a copy as Redis has it: capacity|booked|state|version|generation.
func copyText(c Copy) string {
	b := make([]byte, 0, 80)
	b = append(strconv.AppendInt(b, int64(c.Capacity), 10), '|')
	b = append(strconv.AppendInt(b, int64(c.Booked), 10), '|')
	b = append(append(b, c.State...), '|')
	b = append(strconv.AppendInt(b, c.Version, 10), '|')
	return string(append(b, c.Generation...))
}

// ParseCopy reads a slot's copy as Redis has it.
func ParseCopy(slot int64, text string) (Copy, error) {
	const fields = 5
	f := strings.Split(text, "|")
	if len(f) != fields {
		return Copy{}, fmt.Errorf("the copy of slot %d in Redis has %d fields", slot, len(f))
	}
	c := Copy{Slot: slot, State: State(f[2]), Generation: f[4]}
	var errs [3]error
	c.Capacity, errs[0] = strconv.Atoi(f[0])
	c.Booked, errs[1] = strconv.Atoi(f[1])
	c.Version, errs[2] = strconv.ParseInt(f[3], 10, 64)
	if err := errors.Join(errs[:]...); err != nil {
		return Copy{}, fmt.Errorf("the copy of slot %d in Redis can't be read: %w", slot, err)
	}
	return c, nil
}
