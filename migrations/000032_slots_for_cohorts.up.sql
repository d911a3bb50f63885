-- A slot may be kept for those whom one wave admits, until an instant from which everybody may have it.
ALTER TABLE slots
    ADD COLUMN cohort    text        NOT NULL DEFAULT '',
    ADD COLUMN shared_at timestamptz,
    ADD CONSTRAINT slots_shared_with_others CHECK (shared_at IS NULL OR cohort <> '') NOT VALID;

-- The slots of plans that weren't applied yet, with what those that exist were when the plan was made. Unlogged: a plan that
-- lost them in a crash isn't applied, and is made again.
CREATE UNLOGGED TABLE planned_slots (
    plan_id       uuid        NOT NULL,
    line          integer     NOT NULL,
    site_id       text        NOT NULL,
    starts_at     timestamptz NOT NULL,
    ends_at       timestamptz NOT NULL,
    capacity      integer     NOT NULL,
    state         text        NOT NULL,
    cohort        text        NOT NULL,
    shared_at     timestamptz,
    outcome       text        NOT NULL,
    slot_id       bigint,
    was_ends_at   timestamptz,
    was_capacity  integer,
    was_state     text,
    was_shared_at timestamptz,
    was_booked    integer
);
CREATE INDEX planned_slots_of_plan ON planned_slots (plan_id, outcome);
