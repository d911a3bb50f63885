-- Who does what only one instance may do at a time. A lease ends by itself, by Postgres's clock: a lock that a vanished
-- host held could linger for hours.
CREATE TABLE leases (
    name   text        PRIMARY KEY,
    holder uuid        NOT NULL,
    until  timestamptz NOT NULL
);

-- Which slots were changed, one row a transaction, so that their copies in Redis follow also when whoever changed them died
-- before telling it. Read by transaction id below the oldest that is still running: in that order no row appears late.
CREATE TABLE slot_changes (
    tx          xid8        NOT NULL DEFAULT pg_current_xact_id(),
    campaign_id text        NOT NULL,
    slots       bigint[]    NOT NULL,
    changed_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX slot_changes_in_order ON slot_changes (tx);

-- By a trigger, so that no writer can forget it, also not somebody who corrects a row by hand.
CREATE FUNCTION note_slot_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO slot_changes (campaign_id, slots) SELECT campaign_id, array_agg(slot_id) FROM changed GROUP BY campaign_id;
    RETURN NULL;
END $$;
CREATE TRIGGER slots_note_changes AFTER UPDATE ON slots
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_slot_changes();

-- How far the copies have followed, of those changes that Redis acknowledged.
CREATE TABLE slot_changes_pushed (
    one_row boolean PRIMARY KEY DEFAULT true,
    through xid8    NOT NULL,
    CONSTRAINT slot_changes_pushed_is_one_row CHECK (one_row)
);
INSERT INTO slot_changes_pushed (through) VALUES ('0');
