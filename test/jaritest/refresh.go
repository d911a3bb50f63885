package jaritest

import (
	"testing"
	"time"

	"jari/internal/app"
)

// Refresh brings what is published into the instance's memory now; by itself it does so each second.
func (s *Server) Refresh(t testing.TB) {
	t.Helper()
	if err := s.app.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// AdminKey makes a key of an administrator, as the command line does.
func (s *Server) AdminKey(t testing.TB, role string) string {
	t.Helper()
	office, err := app.OpenOffice(t.Context(), s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer office.Close()
	text, _, err := office.CreateKey(t.Context(), "test", role, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
