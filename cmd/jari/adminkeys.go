package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"
)

type adminCommand struct {
	Key adminKeyCommand `cmd:"" help:"Make, list and end keys. Needs an owner's key."`
}

type adminKeyCommand struct {
	Create adminKeyCreateCommand `cmd:"" help:"Make a key and print it, once."`
	List   adminKeyListCommand   `cmd:"" help:"List all keys, those that are over too."`
	Revoke adminKeyRevokeCommand `cmd:"" help:"End a key now."`
}

// shownKey is a key as the API shows it.
type shownKey struct {
	ID        string     `json:"key_id"`
	Name      string     `json:"name"`
	Role      string     `json:"role"`
	Campaign  string     `json:"campaign_id"`
	Site      string     `json:"site_id"`
	CreatedBy string     `json:"created_by"`
	ExpiresAt time.Time  `json:"expires_at"`
	RevokedAt *time.Time `json:"revoked_at"`
}

// state says whether it can be used.
func (k shownKey) state(now time.Time) string {
	switch {
	case k.RevokedAt != nil:
		return "ended " + k.RevokedAt.UTC().Format(time.RFC3339)
	case !now.Before(k.ExpiresAt):
		return "expired " + k.ExpiresAt.UTC().Format(time.RFC3339)
	default:
		return "until " + k.ExpiresAt.UTC().Format(time.RFC3339)
	}
}

func (k shownKey) site() string {
	if k.Site == "" {
		return ""
	}
	return k.Campaign + "/" + k.Site
}

type adminKeyCreateCommand struct {
	Role string `enum:"viewer,clinic,desk,operator,editor,publisher,owner" required:"" help:"What the key is trusted with: ${enum}."`
	Name string `required:"" help:"Whose key it is."`
	Site string `help:"With clinic: the one site that the key is for, as campaign/site."`
	Days int    `default:"90" help:"How long it lasts, in days; at most 366."`
}

// Run makes a key and prints it for the only time.
func (c adminKeyCreateCommand) Run(w surroundings) error {
	s, err := administer(w)
	if err != nil {
		return err
	}
	body := map[string]any{"name": c.Name, "role": c.Role, "days": c.Days}
	if c.Site != "" {
		campaign, site, ok := strings.Cut(c.Site, "/")
		if !ok {
			return fmt.Errorf("--site is %q and must be campaign/site", c.Site)
		}
		body["campaign_id"], body["site_id"] = campaign, site
	}
	var made struct {
		Key     string   `json:"key"`
		Details shownKey `json:"details"`
	}
	if err := s.ask(http.MethodPost, "/admin/v1/keys", body, &made); err != nil {
		return err
	}
	fmt.Fprintln(w.out, made.Key)
	fmt.Fprintf(w.err, "key %s of %s, role %s, %s; it is shown this once\n",
		made.Details.ID, made.Details.Name, made.Details.Role, made.Details.state(time.Now()))
	return nil
}

type adminKeyListCommand struct{}

// Run lists the keys.
func (adminKeyListCommand) Run(w surroundings) error {
	s, err := administer(w)
	if err != nil {
		return err
	}
	var list struct {
		Keys []shownKey `json:"keys"`
	}
	if err := s.ask(http.MethodGet, "/admin/v1/keys", nil, &list); err != nil {
		return err
	}
	table := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "key\trole\tsite\tvalid\tmade by\tname")
	for _, k := range list.Keys {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Role, k.site(), k.state(time.Now()), k.CreatedBy, k.Name)
	}
	return table.Flush()
}

type adminKeyRevokeCommand struct {
	Key string `arg:"" help:"The key's id: its third part."`
}

// Run ends a key.
func (c adminKeyRevokeCommand) Run(w surroundings) error {
	s, err := administer(w)
	if err != nil {
		return err
	}
	var ended shownKey
	if err := s.ask(http.MethodDelete, "/admin/v1/keys/"+url.PathEscape(c.Key), nil, &ended); err != nil {
		return err
	}
	fmt.Fprintf(w.out, "key %s is %s\n", ended.ID, ended.state(time.Now()))
	return nil
}
