package jaritest

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"jari/internal/app"
	"jari/internal/config"
)

// Refresh brings what is published into the instance's memory now; by itself it does so each second.
func (s *Server) Refresh(t testing.TB) {
	t.Helper()
	if err := s.app.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// CatchUp brings everything that the instance keeps in memory up to date now, what is published too.
func (s *Server) CatchUp(t testing.TB) {
	t.Helper()
	if err := s.app.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// SweepPlans takes away the plans that are over for a while.
func (s *Server) SweepPlans(t testing.TB) {
	t.Helper()
	if err := s.app.SweepPlans(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// AdminKey makes a key of an administrator, as the command line does.
func (s *Server) AdminKey(t testing.TB, role string) string {
	t.Helper()
	if role == "clinic" {
		return s.ClinicKey(t, SiteOfMany) // which is for one site
	}
	return s.adminKey(t, role, "")
}

// ClinicKey makes a key that is for one site of the campaign.
func (s *Server) ClinicKey(t testing.TB, site string) string {
	t.Helper()
	return s.adminKey(t, "clinic", s.Campaign+"/"+site)
}

func (s *Server) adminKey(t testing.TB, role, site string) string {
	t.Helper()
	office, err := app.OpenOffice(t.Context(), s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer office.Close()
	text, _, err := office.CreateKey(t.Context(), "test", role, site, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// In is the same instance, for asking about another campaign. It isn't stopped by itself.
func (s *Server) In(campaign string) *Server {
	return &Server{
		URL: s.URL, Campaign: campaign, Clock: s.Clock, Pool: s.Pool, Redis: s.Redis, Log: s.Log, environment: s.environment,
		cfg: s.cfg, clock: s.clock, contract: s.contract, phones: s.phones, app: s.app,
	}
}

// Office is what commands work with, on the instance's stores and with its environment, or what options change of it.
func (s *Server) Office(t testing.TB, options ...Option) *app.Office {
	t.Helper()
	wanted := setup{environment: s.environment}
	for _, o := range options {
		o(&wanted)
	}
	cfg, err := config.Load(wanted.environment)
	if err != nil {
		t.Fatal(err)
	}
	office, err := app.OpenOffice(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(office.Close)
	return office
}

// Environment are the variables of the instance, for one that runs as a process of its own.
func (s *Server) Environment() []string { return slices.Clone(s.environment) }

// Variable is the value of a variable in the instance's environment.
func (s *Server) Variable(name string) (value string) {
	for _, v := range s.environment {
		if rest, found := strings.CutPrefix(v, name+"="); found {
			value = rest
		}
	}
	return value
}

// ExpiredAdminKey is the key of an administrator whose time is over.
func (s *Server) ExpiredAdminKey(t testing.TB, role string) string {
	t.Helper()
	return s.spoilKey(t, role, `UPDATE admin_keys SET created_at = now() - interval '2 hours', expires_at = now() - interval '1 hour' WHERE key_id = $1`)
}

// RevokedAdminKey is the key of an administrator that was ended.
func (s *Server) RevokedAdminKey(t testing.TB, role string) string {
	t.Helper()
	return s.spoilKey(t, role, `UPDATE admin_keys SET revoked_at = now() WHERE key_id = $1`)
}

func (s *Server) spoilKey(t testing.TB, role, statement string) string {
	t.Helper()
	key := s.AdminKey(t, role)
	tag, err := s.Pool.Exec(t.Context(), statement, strings.Split(key, ".")[2])
	if err != nil || tag.RowsAffected() != 1 {
		t.Fatalf("spoiling a key: %v, %d rows", err, tag.RowsAffected())
	}
	return key
}

// PublishAlso publishes the small campaign once more under another id, beside the one that is there.
func (s *Server) PublishAlso(t testing.TB, id string) {
	t.Helper()
	files := smallCampaign()
	files["campaign.yaml"].Data = bytes.Replace(files["campaign.yaml"].Data, []byte(Small), []byte(id), 1)
	if _, err := app.Publish(t.Context(), s.Pool, files, "campaign.yaml", publishedAt); err != nil {
		t.Fatal(err)
	}
	s.Refresh(t)
}

// Route is a method and a path that the running instance answers at, as its router has it.
type Route struct{ Method, Path string }

// Routes are all of them, asked of the router itself: what it knows, somebody can call.
func (s *Server) Routes(t testing.TB) (all []Route) {
	t.Helper()
	// By its name, so that no test knows which web framework it is.
	list := reflect.ValueOf(s.app.Handler).MethodByName("Routes")
	if !list.IsValid() {
		t.Fatal("the router doesn't tell its routes")
	}
	routes := list.Call(nil)[0]
	for i := range routes.Len() {
		r := routes.Index(i).Elem()
		all = append(all, Route{Method: r.FieldByName("Method").String(), Path: r.FieldByName("Path").String()})
	}
	return all
}

// Environ is the environment that the instance was configured by, for commands beside it.
func (s *Server) Environ() []string { return slices.Clone(s.environment) }

// Behind is the same deployment as asked at another address.
func (s *Server) Behind(url string) *Server {
	other := s.In(s.Campaign)
	other.URL = url
	return other
}
