-- What a bulk change would do, as it was shown to whoever asked, until it is applied or its time is over. Kept sparingly: the
-- audit remembers what was done.
CREATE TABLE plans (
    plan_id     uuid        PRIMARY KEY,
    kind        text        NOT NULL,
    campaign_id text        NOT NULL,
    made_by     text        NOT NULL,
    made_at     timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    -- Where it came from, and how many of what it would make of it; no personal data.
    source      jsonb       NOT NULL,
    summary     jsonb       NOT NULL,
    -- What applying needs, in the form of its kind; nothing that names anybody is in clear.
    payload     bytea       NOT NULL,
    -- SHA-256 of what came in: whoever applies the plan repeats it.
    checksum    text        NOT NULL,
    applied_by  text,
    applied_at  timestamptz,
    CONSTRAINT plans_applied_by_somebody CHECK ((applied_by IS NULL) = (applied_at IS NULL)),
    CONSTRAINT plans_end CHECK (expires_at > made_at)
);
CREATE INDEX plans_by_end ON plans (expires_at);

-- The rows that are worth reading one by one: what is rejected and why, what changes and how.
CREATE TABLE plan_rows (
    plan_id uuid    NOT NULL REFERENCES plans ON DELETE CASCADE,
    number  integer NOT NULL,
    -- Of the file, from 1; 0 where there is none.
    line    integer NOT NULL,
    outcome text    NOT NULL,
    subject text    NOT NULL,
    note    text    NOT NULL,
    PRIMARY KEY (plan_id, number),
    CONSTRAINT plan_rows_outcome_known CHECK (outcome IN ('created', 'changed', 'unchanged', 'rejected', 'affected'))
);

-- How far making or applying has come, written beside the transaction that does it. It may be lost.
CREATE UNLOGGED TABLE plan_progress (
    plan_id     uuid        PRIMARY KEY,
    kind        text        NOT NULL,
    campaign_id text        NOT NULL,
    doing       text        NOT NULL,
    done        bigint      NOT NULL,
    updated_at  timestamptz NOT NULL,
    CONSTRAINT plan_progress_doing_known CHECK (doing IN ('making', 'applying'))
);
