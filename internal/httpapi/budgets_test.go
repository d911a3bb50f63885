package httpapi

import (
	"net/http"
	"testing"
)

func TestEveryOperationHasABudgetAndSaysSo(t *testing.T) {
	t.Parallel()
	contract, err := readContract()
	if err != nil {
		t.Fatal(err)
	}
	for id := range budgets {
		if _, known := contract.operations[id]; !known {
			t.Errorf("%s has a budget and isn't an operation", id)
		}
	}
	for id, c := range contract.operations {
		b := budgetOf(id, c.guard, c.route.Method)
		_, rushed := rush[id]
		free := rushed || (c.guard == public && c.route.Method == http.MethodGet)
		if free != (b == unlimited) {
			t.Errorf("%s has the budget %d", id, b)
		}
		if b != unlimited && c.route.Operation.Responses.Value("429") == nil {
			t.Errorf("%s is limited and doesn't say so: 429 is missing in the contract", id)
		}
	}
}

// Who asks with a session has no key: of a key, all of them would share one budget.
func TestNobodySharesABudgetWithStrangers(t *testing.T) {
	t.Parallel()
	for _, o := range operations {
		b := budgetOf(o.id, o.guard, http.MethodPut)
		_, sessions := map[guard]bool{person: true, entitled: true, admitted: true}[o.guard]
		if sessions && b != ofPerson && b != ofPersonNear && b != unlimited {
			t.Errorf("%s is asked with a session and has the budget %d", o.id, b)
		}
		if o.guard != public && !sessions && b != ofKey {
			t.Errorf("%s is asked with a key and has the budget %d", o.id, b)
		}
	}
}
