package slot

import (
	"strconv"

	"github.com/google/uuid"
)

// Every key of a campaign carries the same hash tag, so that one script may touch several of them on a cluster.

// copyKey is the copy of a slot's row. It expires a day after it was loaded, and is then loaded anew.
func copyKey(campaign string, slot int64) string {
	return "{" + campaign + "}:copy:" + strconv.FormatInt(slot, 10)
}

// holdsKey is the set of live holds of a slot. It expires with its last hold.
func holdsKey(campaign string, slot int64) string {
	return "{" + campaign + "}:holds:" + strconv.FormatInt(slot, 10)
}

// personKey is the record of a person's latest hold, and of how many they placed lately. It expires with the later of both.
func personKey(campaign string, person uuid.UUID) string {
	return "{" + campaign + "}:person:" + person.String()
}

// changedKey are the slots that changed lately, by when: the stream from which every instance keeps its documents
// current. A slot that changes often is in it once. It expires changedLife after the last change.
func changedKey(campaign string) string { return "{" + campaign + "}:changed" }

// givenUpKey are the holds that were released or exchanged for another, until the instant from which they couldn't be
// confirmed anyway. It expires with the longest hold.
func givenUpKey(campaign string) string { return "{" + campaign + "}:given-up" }
