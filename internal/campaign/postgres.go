package campaign

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/postgres"
)

// stamp is what an instance compares each second to know whether its snapshot is still the truth.
type stamp struct {
	id            string
	slotsRevision int64
	version       int64 // newest published
}

func loadStamps(ctx context.Context, pool *pgxpool.Pool) ([]stamp, error) {
	rows, err := pool.Query(ctx, `
		SELECT c.campaign_id, c.slots_revision, max(v.version)
		FROM campaigns c JOIN campaign_versions v USING (campaign_id)
		GROUP BY c.campaign_id ORDER BY c.campaign_id`)
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading the campaigns: %w", err))
	}
	stamps, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s stamp, err error) {
		err = row.Scan(&s.id, &s.slotsRevision, &s.version)
		return s, err
	})
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading the campaigns: %w", err))
	}
	return stamps, nil
}

// loadVersions returns the compiled versions of a campaign after a given one, oldest first.
func loadVersions(ctx context.Context, pool *pgxpool.Pool, id string, after int64) ([]*Campaign, error) {
	rows, err := pool.Query(ctx, `
		SELECT version, document, effective_at FROM campaign_versions
		WHERE campaign_id = $1 AND version > $2 ORDER BY version`, id, after)
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading the versions of %s: %w", id, err))
	}
	versions, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Campaign, error) {
		var version int64
		var raw []byte
		var effective time.Time
		if err := row.Scan(&version, &raw, &effective); err != nil {
			return nil, err
		}
		var d Document
		if err := json.Unmarshal(raw, &d); err != nil {
			return nil, fmt.Errorf("version %d of %s can't be read: %w", version, id, err)
		}
		c, err := Compile(d, version)
		if err != nil {
			return nil, err
		}
		c.EffectiveAt = effective
		return c, nil
	})
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading the versions of %s: %w", id, err))
	}
	return versions, nil
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func loadSites(ctx context.Context, from querier, id string) ([]Site, error) {
	rows, err := from.Query(ctx, `
		SELECT site_id, region, name, name_en, address, telephone, latitude, longitude, wheelchair, state, city, postal_code
		FROM sites WHERE campaign_id = $1 ORDER BY site_id`, id)
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading the sites of %s: %w", id, err))
	}
	sites, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Site, err error) {
		err = row.Scan(&s.ID, &s.Region, &s.Name, &s.NameEn, &s.Address, &s.Telephone, &s.Latitude, &s.Longitude, &s.Wheelchair,
			&s.State, &s.City, &s.PostalCode)
		return s, err
	})
	if err != nil {
		return nil, postgres.Unreachable(fmt.Errorf("reading the sites of %s: %w", id, err))
	}
	return sites, nil
}

// Lock makes the campaign's row (if need be) and locks it, so that two people who publish the same campaign take turns.
func Lock(ctx context.Context, tx pgx.Tx, id string) error {
	if _, err := tx.Exec(ctx, `INSERT INTO campaigns (campaign_id) VALUES ($1) ON CONFLICT DO NOTHING`, id); err != nil {
		return postgres.Unreachable(fmt.Errorf("registering campaign %s: %w", id, err))
	}
	if _, err := tx.Exec(ctx, `SELECT 1 FROM campaigns WHERE campaign_id = $1 FOR UPDATE`, id); err != nil {
		return postgres.Unreachable(fmt.Errorf("locking campaign %s: %w", id, err))
	}
	return nil
}

// SaveSites inserts and updates the sites of a campaign that Lock has locked. Sites that aren't named stay: their
// bookings do too. Instances reload their directory after the commit.
func SaveSites(ctx context.Context, tx pgx.Tx, id string, sites []Site) error {
	fail := func(err error) error {
		return postgres.Unreachable(fmt.Errorf("writing the sites of %s: %w", id, err))
	}
	if _, err := tx.Exec(ctx, `CREATE TEMPORARY TABLE saved_sites (LIKE sites INCLUDING DEFAULTS) ON COMMIT DROP`); err != nil {
		return fail(err)
	}
	columns := []string{
		"campaign_id", "site_id", "region", "name", "name_en", "address", "telephone", "latitude", "longitude", "wheelchair",
		"state", "city", "postal_code",
	}
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"saved_sites"}, columns, pgx.CopyFromSlice(len(sites), func(i int) ([]any, error) {
		s := sites[i]
		return []any{
			id, s.ID, s.Region, s.Name, s.NameEn, s.Address, s.Telephone, s.Latitude, s.Longitude, s.Wheelchair, s.State, s.City, s.PostalCode,
		}, nil
	})); err != nil {
		return fail(err)
	}
	const said = `region, name, name_en, address, telephone, latitude, longitude, wheelchair, state, city, postal_code`
	for _, sql := range []string{
		`INSERT INTO sites (campaign_id, site_id, ` + said + `) SELECT campaign_id, site_id, ` + said + ` FROM saved_sites
			ON CONFLICT (campaign_id, site_id) DO UPDATE SET (` + said + `)
			= (excluded.region, excluded.name, excluded.name_en, excluded.address, excluded.telephone, excluded.latitude,
			   excluded.longitude, excluded.wheelchair, excluded.state, excluded.city, excluded.postal_code)`,
		`DROP TABLE saved_sites`,
	} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return fail(err)
		}
	}
	if _, err := tx.Exec(ctx, `UPDATE campaigns SET slots_revision = slots_revision + 1 WHERE campaign_id = $1`, id); err != nil {
		return fail(err)
	}
	return nil
}

// SaveVersion publishes a document as the next version of a campaign that Lock has locked. The first version counts
// from the beginning of time: there was nothing before it. Publishing the same document again publishes nothing and
// returns the version that stands.
func SaveVersion(ctx context.Context, tx pgx.Tx, d Document, effectiveAt time.Time) (version int64, published bool, err error) {
	return saveVersion(ctx, tx, d, effectiveAt, ByCommand, 0)
}

// ByCommand is who published a version that came from the command line.
const ByCommand = "command"

func saveVersion(
	ctx context.Context, tx pgx.Tx, d Document, effectiveAt time.Time, by string, rollbackOf int64,
) (version int64, published bool, err error) {
	raw, err := d.encode()
	if err != nil {
		return 0, false, err
	}
	var same bool
	err = tx.QueryRow(ctx, `
		SELECT version, document = $2::jsonb FROM campaign_versions WHERE campaign_id = $1 ORDER BY version DESC LIMIT 1`,
		d.ID, raw).Scan(&version, &same)
	switch {
	case err == nil && same:
		return version, false, nil
	case err == nil:
	case isNoRows(err):
		effectiveAt = time.Unix(0, 0)
	default:
		return 0, false, postgres.Unreachable(fmt.Errorf("reading the versions of %s: %w", d.ID, err))
	}
	version++
	if _, err := tx.Exec(ctx, `
		INSERT INTO campaign_versions (campaign_id, version, document, effective_at, published_by, rollback_of)
		VALUES ($1, $2, $3, $4, $5, nullif($6, 0))`, d.ID, version, raw, effectiveAt, by, rollbackOf); err != nil {
		return 0, false, postgres.Unreachable(fmt.Errorf("publishing version %d of %s: %w", version, d.ID, err))
	}
	return version, true, nil
}
