package jaritest

import (
	"context"
	"log/slog"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"jari/internal/audit"
	"jari/internal/identity"
	"jari/internal/keys"
)

// People is the service of who people are, on the instance's store and with its keys, for what only a desk or an import may
// do. It sends no codes.
func (s *Server) People(t testing.TB) *identity.Service {
	t.Helper()
	data, err := keys.NewSealer(string(s.cfg.DataKeys), s.cfg.Environment, keys.Data)
	if err != nil {
		t.Fatal(err)
	}
	index, err := keys.NewIndexer(string(s.cfg.IndexKeys), s.cfg.Environment)
	if err != nil {
		t.Fatal(err)
	}
	return identity.NewService(s.Pool, s.clock, s.Tokens(t), data, index, noCodes{}, identity.Rules{
		Scheme: s.cfg.IdentityScheme, Binding: identity.Binding(s.cfg.IdentityBinding), List: s.cfg.IdentityList,
		PersonsPerPhone: s.cfg.PersonsPerPhone, Provider: identity.ProviderRules{Issuer: s.cfg.OIDCIssuer},
		Phones: identity.PhoneRules{Region: s.cfg.PhoneRegion, Regions: s.cfg.PhoneRegions},
	}, slog.New(slog.NewTextHandler(s.Log, nil)))
}

// Entitle makes a list consist of these rows: imported by one, signed off by another. Without rows the list is removed. It
// counts at once on this instance.
func (s *Server) Entitle(t testing.TB, list string, rows ...identity.ListRow) identity.ListImport {
	t.Helper()
	ctx := audit.With(t.Context(), audit.KeyActor("one"), "192.0.2.7")
	people, vary := s.People(t), 0
	staged, err := people.RemoveList(ctx, list, "one")
	if len(rows) > 0 {
		staged, err = people.StageList(ctx, identity.ListFile{
			List: list, NumberDigits: &vary, By: "one", Rows: func(yield func(identity.ListRow, error) bool) {
				for row := range slices.Values(rows) {
					if !yield(row, nil) {
						return
					}
				}
			},
		})
	}
	if err == nil {
		staged, err = people.SignOff(ctx, list, staged.ID.String(), staged.Checksum, "another")
	}
	if err != nil {
		t.Fatal(err)
	}
	s.Refresh(t)
	return staged
}

// noCodes is for verbs that send none.
type noCodes struct{}

func (noCodes) QueueCode(context.Context, pgx.Tx, identity.Code) error { return nil }

// PersonID is who the citizen's session is of.
func (c *Citizen) PersonID(t testing.TB) string {
	t.Helper()
	session, err := c.s.Tokens(t).OpenSession(c.Session)
	if err != nil {
		t.Fatal(err)
	}
	return session.Person.String()
}
