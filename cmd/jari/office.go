package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"jari/internal/app"
	"jari/internal/config"
)

// openOffice opens what commands of administrators work with.
func openOffice(w surroundings) (*app.Office, error) {
	cfg, err := storeURL(w)
	if err != nil {
		return nil, err
	}
	if cfg.Environment != config.Development && cfg.Environment != config.Production {
		return nil, errors.New("JARI_ENV is missing: development or production")
	}
	return app.OpenOffice(w.ctx, cfg)
}

type versionsCommand struct {
	Campaign string `arg:"" help:"The campaign's id."`
}

// Run lists what was published, newest first.
func (c versionsCommand) Run(w surroundings) error {
	o, err := openOffice(w)
	if err != nil {
		return err
	}
	defer o.Close()
	versions, err := o.Campaigns.Versions(w.ctx, c.Campaign)
	if err != nil {
		return err
	}
	rows := []string{"version\teffective from\tpublished at\tby\trollback of"}
	for _, v := range versions {
		again := ""
		if v.RollbackOf != 0 {
			again = strconv.FormatInt(v.RollbackOf, 10)
		}
		rows = append(rows, strings.Join([]string{
			strconv.FormatInt(v.Number, 10), v.EffectiveAt.UTC().Format(time.RFC3339),
			v.PublishedAt.UTC().Format(time.RFC3339), v.PublishedBy, again,
		}, "\t"))
	}
	table := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
	if _, err := table.Write([]byte(strings.Join(rows, "\n") + "\n")); err != nil {
		return fmt.Errorf("printing the versions: %w", err)
	}
	return table.Flush()
}

type rollbackCommand struct {
	Campaign    string    `arg:"" help:"The campaign's id."`
	Version     int64     `arg:"" help:"The version to go back to; its document becomes the next version."`
	EffectiveAt time.Time `help:"From when on it counts (RFC 3339); as soon as every instance can know it if left out." format:"2006-01-02T15:04:05Z07:00"`
}

// Run publishes an earlier document again.
func (c rollbackCommand) Run(w surroundings) error {
	o, err := openOffice(w)
	if err != nil {
		return err
	}
	defer o.Close()
	v, published, err := o.Rollback(w.ctx, c.Campaign, c.Version, c.EffectiveAt)
	if err != nil {
		return err
	}
	if !published {
		fmt.Fprintf(w.out, "version %d has this very document already; nothing was published\n", v.Number)
		return nil
	}
	fmt.Fprintf(w.out, "published version %d of %s with the document of version %d, effective from %s\n",
		v.Number, c.Campaign, c.Version, v.EffectiveAt.UTC().Format(time.RFC3339))
	return nil
}

type keysCreateCommand struct {
	Role string `enum:"viewer,clinic,desk,operator,editor,publisher,owner" required:"" help:"What the key is trusted with: ${enum}."`
	Site string `help:"With clinic: the one site that the key is for, as campaign/site."`
	Name string `required:"" help:"Whose key it is."`
	Days int    `default:"90" help:"How long it lasts, in days; at most 366."`
}

// Run makes a key of an administrator and prints it for the only time.
func (c keysCreateCommand) Run(w surroundings) error {
	o, err := openOffice(w)
	if err != nil {
		return err
	}
	defer o.Close()
	text, key, err := o.CreateKey(w.ctx, c.Name, c.Role, c.Site, time.Duration(c.Days)*24*time.Hour)
	if err != nil {
		return err
	}
	fmt.Fprintf(w.out, "%s\n", text)
	fmt.Fprintf(w.err, "key %s of %s, a %s, until %s; it is shown this once\n", key.ID, key.Name, key.Role, key.ExpiresAt.UTC().Format(time.RFC3339))
	return nil
}

type keysRevokeCommand struct {
	Key string `arg:"" help:"The key's id: its third part."`
}

// Run ends a key of an administrator.
func (c keysRevokeCommand) Run(w surroundings) error {
	o, err := openOffice(w)
	if err != nil {
		return err
	}
	defer o.Close()
	key, err := o.RevokeKey(w.ctx, c.Key)
	if err != nil {
		return err
	}
	fmt.Fprintf(w.out, "key %s is ended\n", key.ID)
	return nil
}
