-- The grace of people who were called, or will be, and need a code first: as much of it as was used when they asked for one.
-- When they have verified, their place counts as if no more had passed; a row that nobody used in time is worth nothing.
CREATE TABLE frozen_graces (
    person_id uuid        NOT NULL,
    room_no   integer     NOT NULL,
    late      boolean     NOT NULL,
    used_ms   bigint      NOT NULL,
    until     timestamptz NOT NULL,
    CONSTRAINT frozen_graces_one_per_place PRIMARY KEY (person_id, room_no, late),
    CONSTRAINT frozen_graces_used CHECK (used_ms >= 0)
);
