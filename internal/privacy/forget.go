package privacy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"jari/internal/audit"
	"jari/internal/postgres"
)

// Order says what to forget.
type Order struct {
	Campaign string
	// DueAt is from when on the campaign may be forgotten, Now the present; both in shown time.
	DueAt, Now time.Time
	// SeenSince: who was verified more recently may have a session, and may be about to book elsewhere. Real time.
	SeenSince time.Time
	Reason    string
	// KeepList is the list by which this deployment knows people; empty where there is none. It outlives its campaigns.
	KeepList string
}

// Forgotten says what a run forgot, or would.
type Forgotten struct {
	// Persons have no booking but in forgotten campaigns and were not verified lately; their rows are blanked. Kept took part
	// in this campaign and stay known, because of another campaign or because they were here lately.
	Persons, Kept int64
	// Messages about bookings of the campaign; they are deleted.
	Messages int64
	// Entries are those of lists of entitled people that no other campaign names; they are deleted.
	Entries int64
	// Bookings of the campaign stay, with the ids of persons whom nothing leads back to.
	Bookings int64
}

// ErrNotDue is that the campaign's retention isn't over.
var ErrNotDue = errors.New("isn't to be forgotten yet")

// living are the people who stay known: they have a booking, or asked for one of somebody's, in a campaign that isn't
// forgotten, or a place in a waiting room that isn't over: found anew, they would be somebody else without it. Collected
// once; whoever books meanwhile was verified lately, and stays for that.
const living = `
	CREATE TEMPORARY TABLE living ON COMMIT DROP AS
	SELECT DISTINCT p.id FROM bookings b JOIN campaigns c USING (campaign_id), LATERAL (VALUES (b.person_id), (b.actor_id)) AS p (id)
	WHERE c.forgotten_at IS NULL AND b.status IN ('active', 'cancelled')
	UNION SELECT r.person_id FROM registrations r JOIN rooms USING (room_no) WHERE rooms.state <> 'closed'
		AND NOT EXISTS (SELECT FROM campaigns c WHERE c.forgotten_at IS NOT NULL AND starts_with(rooms.room_id, c.campaign_id || '.'))`

// related joins who acts for those who stay known, as messages go to them, and those for whom somebody acts who was verified
// lately: they have no verification of their own.
const related = `
	INSERT INTO living
	SELECT b.actor_id FROM beneficiaries b JOIN living ON living.id = b.person_id
	UNION SELECT p.contact_id FROM persons p JOIN living ON living.id = p.person_id WHERE p.contact_id IS NOT NULL
	UNION SELECT b.person_id FROM beneficiaries b JOIN persons a ON a.person_id = b.actor_id WHERE a.verified_at >= $1
	UNION SELECT p.person_id FROM persons p JOIN persons a ON a.person_id = p.contact_id WHERE a.verified_at >= $1`

func collectLiving(ctx context.Context, tx pgx.Tx, seenSince time.Time) error {
	if _, err := tx.Exec(ctx, living); err != nil {
		return postgres.Unreachable(fmt.Errorf("looking for who stays known: %w", err))
	}
	if _, err := tx.Exec(ctx, related, seenSince); err != nil {
		return postgres.Unreachable(fmt.Errorf("looking for who acts for whom: %w", err))
	}
	return nil
}

// over is who is forgotten, of the persons p.
const over = `p.forgotten_at IS NULL AND p.verified_at < $1 AND NOT EXISTS (SELECT 1 FROM living WHERE living.id = p.person_id)`

// Plan says what Forget would do, and changes nothing.
func Plan(ctx context.Context, pool *pgxpool.Pool, o Order) (f Forgotten, err error) {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return f, postgres.Unreachable(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // what is marked to count by is marked for nobody else
	return mark(ctx, tx, o)
}

// mark marks the campaign as forgotten and counts what that is about.
func mark(ctx context.Context, tx pgx.Tx, o Order) (f Forgotten, err error) {
	tag, err := tx.Exec(ctx, `UPDATE campaigns SET forgotten_at = coalesce(forgotten_at, now()) WHERE campaign_id = $1`, o.Campaign)
	if err != nil {
		return f, postgres.Unreachable(fmt.Errorf("marking %s: %w", o.Campaign, err))
	}
	if tag.RowsAffected() == 0 {
		return f, fmt.Errorf("there is no campaign %s", o.Campaign)
	}
	return count(ctx, tx, o)
}

func count(ctx context.Context, tx pgx.Tx, o Order) (f Forgotten, err error) {
	if err := collectLiving(ctx, tx, o.SeenSince); err != nil {
		return f, err
	}
	err = tx.QueryRow(ctx, `
		WITH here AS (SELECT DISTINCT person_id FROM bookings WHERE campaign_id = $2)
		SELECT (SELECT count(*) FROM persons p WHERE `+over+`),
			(SELECT count(*) FROM here JOIN persons p USING (person_id) WHERE p.forgotten_at IS NULL AND NOT (`+over+`)),
			(SELECT count(*) FROM messages m JOIN bookings b ON m.subject IN (
				'booking:' || b.booking_id || ':booked', 'booking:' || b.booking_id || ':moved', 'booking:' || b.booking_id || ':cancelled', 'booking:' || b.booking_id || ':reminder')
				WHERE b.campaign_id = $2),
			(SELECT count(*) FROM bookings WHERE campaign_id = $2)`, o.SeenSince, o.Campaign).
		Scan(&f.Persons, &f.Kept, &f.Messages, &f.Bookings)
	if err == nil {
		f.Entries, err = countEntries(ctx, tx, o)
	}
	if err != nil {
		return f, postgres.Unreachable(fmt.Errorf("counting: %w", err))
	}
	return f, nil
}

// Forget marks the campaign as forgotten, so that nothing of it is published or booked again, deletes its messages and
// blanks everybody whom nothing keeps. It may be broken off: the next run goes on. Both ends are in the audit.
func Forget(ctx context.Context, pool *pgxpool.Pool, log *audit.Log, o Order) (f Forgotten, err error) {
	if o.Now.Before(o.DueAt) {
		return f, fmt.Errorf("%s %w: from %s on", o.Campaign, ErrNotDue, o.DueAt.Format(time.RFC3339))
	}
	entry := audit.Entry{Actor: audit.Command, Act: "campaign.forget", Subject: o.Campaign, Reason: o.Reason}
	err = postgres.InTx(ctx, pool, func(tx pgx.Tx) error {
		if f, err = mark(ctx, tx, o); err != nil {
			return err
		}
		entry.Details = map[string]any{"persons": f.Persons, "kept": f.Kept, "messages": f.Messages, "bookings": f.Bookings, "list_entries": f.Entries}
		return log.Append(ctx, tx, entry)
	})
	if err != nil {
		return f, err
	}
	if f.Messages, err = inBatches(ctx, pool, "messages", func(tx pgx.Tx) (int64, error) {
		tag, err := tx.Exec(ctx, `
			DELETE FROM messages WHERE message_id IN (
				SELECT m.message_id FROM bookings b JOIN messages m ON m.subject IN (
					'booking:' || b.booking_id || ':booked', 'booking:' || b.booking_id || ':moved', 'booking:' || b.booking_id || ':cancelled', 'booking:' || b.booking_id || ':reminder')
				WHERE b.campaign_id = $1 LIMIT $2)`, o.Campaign, batch)
		return tag.RowsAffected(), err
	}); err != nil {
		return f, err
	}
	f.Persons, err = inBatches(ctx, pool, "persons", func(tx pgx.Tx) (int64, error) {
		if err := collectLiving(ctx, tx, o.SeenSince); err != nil {
			return 0, err
		}
		var all int64
		for {
			// What finds a person is replaced too: a keyed hash of a name still is that name to whoever has the key.
			tag, err := tx.Exec(ctx, `
				WITH gone AS (SELECT person_id FROM persons p WHERE `+over+` LIMIT $2 FOR UPDATE SKIP LOCKED),
				bonds AS (DELETE FROM beneficiaries b USING gone WHERE gone.person_id IN (b.person_id, b.actor_id)),
				-- Whoever is on a list that stays is found anew, as somebody else.
				entries AS (UPDATE list_entries e SET person_id = NULL FROM gone WHERE e.person_id = gone.person_id)
				UPDATE persons p SET sealed = '', lookup = uuid_send(gen_random_uuid()), phone_index = NULL, phone_ordinal = NULL,
					self_index = NULL, contact_id = NULL, flagged_at = NULL, forgotten_at = now()
				FROM gone WHERE p.person_id = gone.person_id`, o.SeenSince, batch)
			if all += tag.RowsAffected(); err != nil || tag.RowsAffected() < batch || all >= most {
				return all, err
			}
		}
	})
	if err != nil {
		return f, err
	}
	if f.Entries, err = forgetLists(ctx, pool, o); err != nil {
		return f, err
	}
	entry.Act = "campaign.forgotten"
	entry.Details = map[string]any{"persons": f.Persons, "messages": f.Messages, "list_entries": f.Entries}
	return f, log.Record(ctx, entry)
}

// most bounds the rows of one transaction, so that nobody waits for it and a run that is broken off loses little.
const most = 20 * batch

// inBatches runs a step in transactions of their own until it finds nothing more.
func inBatches(ctx context.Context, pool *pgxpool.Pool, what string, step func(pgx.Tx) (int64, error)) (all int64, err error) {
	for {
		var rows int64
		err := postgres.InTx(ctx, pool, func(tx pgx.Tx) (err error) {
			rows, err = step(tx)
			return err
		})
		if err != nil {
			return all, postgres.Unreachable(fmt.Errorf("forgetting %s: %w", what, err))
		}
		if all += rows; rows == 0 {
			return all, nil
		}
	}
}

// LastSlot is when the last slot of a campaign ends; the zero time where it has none.
func LastSlot(ctx context.Context, pool *pgxpool.Pool, campaign string) (end time.Time, err error) {
	var last *time.Time
	if err := pool.QueryRow(ctx, `SELECT max(ends_at) FROM slots WHERE campaign_id = $1`, campaign).Scan(&last); err != nil {
		return end, postgres.Unreachable(fmt.Errorf("looking for the last slot of %s: %w", campaign, err))
	}
	if last != nil {
		end = *last
	}
	return end, nil
}
