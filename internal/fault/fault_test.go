package fault_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jari/internal/fault"
)

func TestEveryAdditionIsACopy(t *testing.T) {
	t.Parallel()
	base := fault.New(fault.TooMany, fault.CodePhoneLimit)
	one := base.Field("/name", "is missing")
	_ = one.Field("/phone", "is missing")
	two := one.Field("/birth_date", "is missing")
	_ = base.After(time.Minute).With(3).Because(errors.New("why"))

	if base.RetryAfter != 0 || base.Extra != nil || base.Unwrap() != nil || len(base.Fields) != 0 {
		t.Errorf("the first was changed: %+v", base)
	}
	if diff := cmp.Diff([]fault.Field{{Pointer: "/name", Problem: "is missing"}}, one.Fields); diff != "" {
		t.Errorf("the second was changed: %s", diff)
	}
	if len(two.Fields) != 2 || two.Fields[1].Pointer != "/birth_date" {
		t.Errorf("two additions to one refusal share their fields: %+v", two.Fields)
	}
}

func TestAForgottenKindIsNobodysBusiness(t *testing.T) {
	t.Parallel()
	if kind := (&fault.Error{}).Kind; kind != fault.Internal {
		t.Fatalf("the zero kind is %d", kind)
	}
}

func TestTheCauseIsForTheLog(t *testing.T) {
	t.Parallel()
	cause := errors.New("connection refused")
	err := fault.New(fault.Unavailable, fault.CodeStoreUnavailable).Because(cause)
	if got := err.Error(); got != "store_unavailable: connection refused" {
		t.Errorf("the log reads %q", got)
	}
	if !errors.Is(err, cause) {
		t.Error("the cause can't be found")
	}
	if got := fault.New(fault.NotFound, fault.CodeNotFound).Error(); got != "not_found" {
		t.Errorf("without a cause the log reads %q", got)
	}
}

func TestTheCodeIsFoundThroughWrapping(t *testing.T) {
	t.Parallel()
	refusal := fault.New(fault.Conflict, fault.CodeSlotFull)
	for name, tc := range map[string]struct {
		err  error
		want fault.Code
	}{
		"a refusal":          {refusal, fault.CodeSlotFull},
		"a wrapped refusal":  {fmt.Errorf("placing: %w", refusal), fault.CodeSlotFull},
		"one of several":     {errors.Join(errors.New("other"), refusal), fault.CodeSlotFull},
		"another error":      {errors.New("other"), ""},
		"no error":           {nil, ""},
		"the outermost wins": {fault.New(fault.Unavailable, fault.CodeOutcomeUnknown).Because(refusal), fault.CodeOutcomeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := fault.CodeOf(tc.err); got != tc.want {
				t.Fatalf("code %q, not %q", got, tc.want)
			}
		})
	}
}
