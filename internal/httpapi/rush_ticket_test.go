package httpapi

import (
	"encoding/json"
	"testing"
)

func TestATicketIsWrittenAsTheLibraryDoes(t *testing.T) {
	t.Parallel()
	nought, many, nonce := int64(0), int64(9_999_999), "00ff"
	for _, ticket := range []Ticket{
		{RoomId: "c.r", Ticket: "abc-_", Index: &nought, Nonce: &nonce},
		{RoomId: "c.r", Ticket: "abc-_", Number: &many},
		{RoomId: `예약"<`, Ticket: "\x00", Number: &nought},
		{},
	} {
		want, err := json.Marshal(ticket)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendTicket(nil, ticket); string(got) != string(want) {
			t.Errorf("written as %s, want %s", got, want)
		}
	}
}

// What is answered before the contract is asked must have nothing that the contract could refuse but the room's name.
func TestPlacesHaveNothingToHoldAgainstTheContract(t *testing.T) {
	t.Parallel()
	contract, err := readContract()
	if err != nil {
		t.Fatal(err)
	}
	for id := range places {
		o := contract.operations[id].route
		if o == nil || o.Operation.RequestBody != nil || len(o.Operation.Parameters) != 0 || len(o.PathItem.Parameters) != 1 {
			t.Errorf("%s has a body or parameters, which nobody checks", id)
		}
	}
}
