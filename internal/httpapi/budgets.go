package httpapi

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"jari/internal/limit"
)

// Rates are requests a minute. Each may be used at once, and fills up again evenly.
type Rates struct {
	Person int // of one person, to everything that needs a session
	Key    int // of one administrator's key
	Block  int // of one address block, to everything that is limited
	Verify int // of one address block, to what begins or ends a verification
}

// budget is whose requests an operation counts, and against which rate.
type budget uint8

const (
	// unlimited costs no store: documents are answered from memory. Placing a hold has a budget of its own in the script
	// that places it, and confirming needs none: a hold is confirmed once.
	unlimited    budget = iota
	ofBlock             // anybody: by address block
	ofVerifier          // who verifies: by address block, fewer
	ofPerson            // by person and by address block
	ofPersonNear        // the same, counted by each instance for itself
	ofKey               // by administrator's key
)

// budgets are those of operations where the guard doesn't say it.
var budgets = map[string]budget{
	"placeHold":           unlimited,
	"confirmBooking":      unlimited,
	"register":            ofPersonNear,
	"takeTicket":          ofPersonNear,
	"startVerification":   ofVerifier,
	"resendVerification":  ofVerifier,
	"confirmVerification": ofVerifier,
	"startStaffSignIn":    ofVerifier,
	"confirmStaffSignIn":  ofVerifier,
	"startSignIn":         ofVerifier,
	"confirmSignIn":       ofVerifier,
}

// budgetOf is the budget of an operation: every one has one, also one that was added without a thought of it.
func budgetOf(id string, g guard, method string) budget {
	if b, said := budgets[id]; said {
		return b
	}
	switch g {
	case public:
		if method == http.MethodGet {
			return unlimited
		}
		return ofBlock
	case person, entitled, admitted:
		return ofPerson
	default:
		return ofKey
	}
}

// spend takes a request off the budgets of whoever asks, after the guard has said who that is.
func (s *Server) spend(b budget) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		if b == unlimited {
			return next
		}
		return func(c echo.Context) error {
			ctx := c.Request().Context()
			a, _ := ctx.Value(askingKey{}).(asking)
			if b == ofPersonNear {
				if err := s.spendNear(c, a.session); err != nil {
					return err
				}
				return next(c)
			}
			var spent []limit.Budget
			block := s.Blocks.of(c.RealIP())
			switch {
			case b == ofKey:
				spent = append(spent, limit.Budget{Name: "key:" + a.key.ID, PerMinute: s.Rates.Key})
			case b == ofPerson:
				spent = append(spent, limit.Budget{Name: "person:" + a.session.Actor.String(), PerMinute: s.Rates.Person})
			case b == ofVerifier && block != "":
				spent = append(spent, limit.Budget{Name: "verify:" + block, PerMinute: s.Rates.Verify})
			}
			if block != "" && b != ofKey {
				spent = append(spent, limit.Budget{Name: "block:" + block, PerMinute: s.Rates.Block})
			}
			if err := s.Limits.Spend(ctx, spent...); err != nil {
				return err
			}
			return next(c)
		}
	}
}
