CREATE TABLE slots (
    slot_id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    campaign_id text        NOT NULL,
    site_id     text        NOT NULL,
    starts_at   timestamptz NOT NULL,
    ends_at     timestamptz NOT NULL,
    capacity    integer     NOT NULL,
    booked      integer     NOT NULL DEFAULT 0,
    state       text        NOT NULL DEFAULT 'open',
    -- Raised by every change of capacity, booked or state; a copy is replaced only by a higher one.
    version     bigint      NOT NULL DEFAULT 1,
    FOREIGN KEY (campaign_id, site_id) REFERENCES sites,
    -- The first promise, said by the database itself.
    CONSTRAINT slots_never_oversold CHECK (booked BETWEEN 0 AND capacity),
    CONSTRAINT slots_capacity_limit CHECK (capacity <= 100000),
    CONSTRAINT slots_state_known CHECK (state IN ('open', 'closed', 'unreleased')),
    CONSTRAINT slots_interval CHECK (ends_at > starts_at AND ends_at <= starts_at + interval '24 hours'),
    CONSTRAINT slots_one_per_site_and_start UNIQUE (campaign_id, site_id, starts_at)
-- Room on each page, so that raising booked and version stays on it (no index covers them).
) WITH (fillfactor = 70);
