package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/audit"
	"jari/internal/campaign"
	"jari/internal/clock"
	"jari/internal/config"
	"jari/internal/postgres"
	"jari/internal/slot"
)

// Published says what publishing did.
type Published struct {
	Campaign string
	Version  int64
	// New is false if this very document was the newest version already.
	New   bool
	Sites int
	Slots slot.Saved
	// Places is the sum of the capacities of the slots in the files.
	Places int
}

// Publish reads a campaign file and the files that it names, checks all of them, and publishes them in one transaction:
// all or nothing. What is booked stays booked: a slot whose planned capacity is below that makes it refuse.
func Publish(ctx context.Context, pool *pgxpool.Pool, files fs.FS, name string, effectiveAt time.Time) (Published, error) {
	return PublishAt(ctx, config.Development, pool, files, name, func() (time.Time, error) { return effectiveAt, nil })
}

// PublishAt is Publish in an environment, which in production refuses what is for development only, and with an effective instant that is asked for at the very end, when reading files and waiting for
// locks is over: an instant that must lie ahead of now is worth nothing if now was long ago.
func PublishAt(
	ctx context.Context, environment string, pool *pgxpool.Pool, files fs.FS, name string, effectiveAt func() (time.Time, error),
) (Published, error) {
	d, compiled, err := readCampaign(files, name, environment != config.Development)
	if err != nil {
		return Published{}, err
	}
	sites, planned, err := readPlaces(files, path.Dir(name), compiled)
	if err != nil {
		return Published{}, err
	}
	ctx = byCommand(ctx)
	p := Published{Campaign: d.ID, Sites: len(sites)}
	for _, s := range planned {
		p.Places += s.Capacity
	}
	err = postgres.InTx(ctx, pool, func(tx pgx.Tx) error {
		if err := campaign.Lock(ctx, tx, d.ID); err != nil {
			return err
		}
		if len(sites) > 0 {
			if err := campaign.SaveSites(ctx, tx, d.ID, sites); err != nil {
				return err
			}
		}
		if len(planned) > 0 {
			if p.Slots, err = slot.Save(ctx, tx, d.ID, planned); err != nil {
				return err
			}
			if err := tooFull(p.Slots.TooFull); err != nil {
				return err
			}
		}
		at, err := effectiveAt()
		if err != nil {
			return err
		}
		if p.Version, p.New, err = campaign.SaveVersion(ctx, tx, d, at); err != nil {
			return err
		}
		return audit.NewLog(pool, clock.NewSystem(0), slog.New(slog.DiscardHandler), nil).Append(ctx, tx, audit.Entry{
			Act: "campaign.publish_files", Subject: d.ID, Details: map[string]any{
				"version": p.Version, "new": p.New, "sites": p.Sites, "places": p.Places, "slots_created": p.Slots.Created,
				"slots_changed": p.Slots.Changed, "slots_unchanged": p.Slots.Unchanged,
			},
		})
	})
	return p, err
}

// readCampaign reads and checks the document itself, with its own cases.
func readCampaign(files fs.FS, name string, production bool) (campaign.Document, *campaign.Campaign, error) {
	raw, err := fs.ReadFile(files, name)
	if err != nil {
		return campaign.Document{}, nil, fmt.Errorf("opening the campaign: %w", err)
	}
	report, err := campaign.Check(raw, campaign.CheckOptions{Production: production})
	if err != nil {
		return campaign.Document{}, nil, fmt.Errorf("%s can't be published:\n%w", name, err)
	}
	return report.Compiled.Document, report.Compiled, nil
}

// readPlaces reads the sites and plans the slots that the document names.
func readPlaces(files fs.FS, folder string, c *campaign.Campaign) ([]campaign.Site, []slot.Planned, error) {
	if c.Document.Sites == "" {
		return nil, nil, nil
	}
	sites, err := read(files, path.Join(folder, c.Document.Sites), campaign.ParseSites)
	if err != nil {
		return nil, nil, err
	}
	var templates slot.Templates
	if c.Document.Slots != "" {
		if templates, err = read(files, path.Join(folder, c.Document.Slots), slot.ParseTemplates); err != nil {
			return nil, nil, err
		}
	}
	var planned []slot.Planned
	var faults []error
	for _, s := range sites {
		if !c.HasRegion(s.Region) {
			faults = append(faults, fmt.Errorf("%s: site %s is in region %q, which the campaign doesn't list", c.Document.Sites, s.ID, s.Region))
		}
		if s.SlotTemplate == "" {
			continue
		}
		t, ok := templates.Templates[s.SlotTemplate]
		if !ok {
			faults = append(faults, fmt.Errorf("%s: site %s follows the template %q, which %s doesn't have",
				c.Document.Sites, s.ID, s.SlotTemplate, c.Document.Slots))
			continue
		}
		slots, err := t.Plan(s.ID, c.Location)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: template %s: %w", c.Document.Slots, s.SlotTemplate, err))
			continue
		}
		planned = append(planned, slots...)
	}
	faults = append(faults, slot.CheckPlanned(len(planned)))
	return sites, planned, errors.Join(faults...)
}

func read[T any](files fs.FS, name string, parse func(io.Reader) (T, error)) (T, error) {
	file, err := files.Open(name)
	if err != nil {
		var none T
		return none, fmt.Errorf("opening %s: %w", name, err)
	}
	defer func() { _ = file.Close() }()
	parsed, err := parse(file)
	if err != nil {
		return parsed, fmt.Errorf("%s: %w", name, err)
	}
	return parsed, nil
}

// tooFull refuses a plan that would take places away from people who have booked them.
func tooFull(slots []slot.TooFull) error {
	var faults []error
	for i, s := range slots {
		if i == 20 {
			faults = append(faults, fmt.Errorf("… and %d more", len(slots)-i))
			break
		}
		faults = append(faults, fmt.Errorf("site %s, %s: %d are booked and the plan has %d places",
			s.Site, s.StartsAt.UTC().Format(time.RFC3339), s.Booked, s.Capacity))
	}
	if len(faults) > 0 {
		faults = append([]error{errors.New("nothing was published: some slots have more booked than the files give them")}, faults...)
	}
	return errors.Join(faults...)
}
