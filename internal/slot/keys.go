package slot

import (
	"strconv"

	"github.com/google/uuid"
)

// Every key of a campaign carries the same hash tag, so that one script may touch several of them on a cluster.

// copyKey is the copy of a slot's row. It expires a day after it was last replaced.
func copyKey(campaign string, slot int64) string {
	return "{" + campaign + "}:slot:" + strconv.FormatInt(slot, 10)
}

// holdsKey is the set of live holds of a slot. It expires with its last hold.
func holdsKey(campaign string, slot int64) string {
	return "{" + campaign + "}:holds:" + strconv.FormatInt(slot, 10)
}

// personKey is the latest hold of a person. It expires with the hold.
func personKey(campaign string, person uuid.UUID) string {
	return "{" + campaign + "}:person:" + person.String()
}

// placementsKey counts the placements of a person. It expires with its window.
func placementsKey(campaign string, person uuid.UUID) string {
	return "{" + campaign + "}:placements:" + person.String()
}

// changedKey are the slots that changed lately, by when: the stream from which every instance keeps its documents
// current. A slot that changes often is in it once. It expires changedLife after the last change.
func changedKey(campaign string) string { return "{" + campaign + "}:changed" }

// givenUpKey are the holds that were released or exchanged for another, until the instant from which they couldn't be
// confirmed anyway. It expires with the longest hold.
func givenUpKey(campaign string) string { return "{" + campaign + "}:given-up" }
