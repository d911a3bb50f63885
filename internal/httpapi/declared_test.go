package httpapi

import (
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
)

// A route that nobody has guarded must not be found by whoever looks for it, but by whoever starts the server.
func TestARouteWithoutADeclaredGuardIsAStartUpError(t *testing.T) {
	t.Parallel()
	contract, err := readContract()
	if err != nil {
		t.Fatal(err)
	}
	anybody := func(echo.Context) error { return nil }
	for claim, add := range map[string]func(*echo.Echo){
		"a path of its own":              func(e *echo.Echo) { e.GET("/debug/pprof", anybody) },
		"another method of a known path": func(e *echo.Echo) { e.POST("/v1/me", anybody) },
		"below a known path":             func(e *echo.Echo) { e.GET("/v1/me/everything", anybody) },
		"everything":                     func(e *echo.Echo) { e.Any("/*", anybody) },
		"HEAD of what isn't public":      func(e *echo.Echo) { e.HEAD("/v1/me", anybody) },
	} {
		e := echo.New()
		if err := checkDeclared(e, contract); err != nil {
			t.Fatal(err)
		}
		add(e)
		if err := checkDeclared(e, contract); err == nil || !strings.Contains(err.Error(), "declares no guard") {
			t.Errorf("a route at %s is served: %v", claim, err)
		}
	}
}

// The contract and the route table each name every guard; a server in which they differ doesn't start.
func TestATableThatDiffersFromTheContractIsAStartUpError(t *testing.T) { //nolint:paralleltest // it changes the table of the process
	whole := operations
	t.Cleanup(func() { operations = whole })
	start := func(table []operation) error {
		operations = table
		_, err := New(Options{Metrics: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Inside: 1})
		return err
	}
	if err := start(whole); err != nil {
		t.Fatalf("the whole table is refused: %v", err)
	}
	for i, o := range whole {
		weaker := slices.Clone(whole)
		if weaker[i].guard = public; o.guard == public {
			weaker[i].guard = person
		}
		if err := start(weaker); err == nil || !strings.Contains(err.Error(), o.id) {
			t.Errorf("%s with another guard than the contract's is served: %v", o.id, err)
		}
		if err := start(slices.Delete(slices.Clone(whole), i, i+1)); err == nil || !strings.Contains(err.Error(), o.id) {
			t.Errorf("%s without a line in the table is served: %v", o.id, err)
		}
	}
	if err := start(append(slices.Clone(whole), operation{"somethingElse", public})); err == nil {
		t.Error("an operation that the contract doesn't know is served")
	}
}
