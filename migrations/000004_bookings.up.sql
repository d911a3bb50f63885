-- Every unique key leads with the campaign, so that the table can become partitioned by campaign by attaching it.
CREATE TABLE bookings (
    campaign_id   text        NOT NULL,
    booking_id    uuid        NOT NULL,
    hold_id       uuid        NOT NULL,
    slot_id       bigint      NOT NULL REFERENCES slots,
    person_id     uuid        NOT NULL REFERENCES persons,
    -- Who asked: the person, or somebody acting for them.
    actor_id      uuid        NOT NULL,
    status        text        NOT NULL,
    void_reason   text,
    -- The citizen's own number; stays the same when the booking is moved.
    reference     text,
    -- The first booking of a chain of moves, and how often it changed: UID and SEQUENCE of the calendar entry.
    series_id     uuid        NOT NULL,
    sequence      integer     NOT NULL DEFAULT 0,
    replaces      uuid,
    -- How eligibility was judged when the hold was placed: never judged again.
    wave_id       text        NOT NULL,
    rules_version bigint      NOT NULL,
    judged_at     timestamptz NOT NULL,
    held_at       timestamptz NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    ended_at      timestamptz,
    PRIMARY KEY (campaign_id, booking_id),
    -- Whoever first writes a hold id decides it.
    CONSTRAINT bookings_hold_decided_once UNIQUE (campaign_id, hold_id),
    CONSTRAINT bookings_status_known CHECK (status IN ('active', 'cancelled', 'superseded', 'void')),
    CONSTRAINT bookings_void_has_reason CHECK (
        (status = 'void') = (void_reason IS NOT NULL)
        AND void_reason IN ('full', 'already_booked', 'expired', 'released', 'replaced_gone')),
    CONSTRAINT bookings_reference_unless_void CHECK ((status = 'void') = (reference IS NULL)),
    CONSTRAINT bookings_ended_unless_active CHECK ((status = 'active') = (ended_at IS NULL))
);
-- The second half of the first promise: one booking a person.
CREATE UNIQUE INDEX bookings_one_active_per_person ON bookings (campaign_id, person_id) WHERE status = 'active';
CREATE UNIQUE INDEX bookings_reference_is_unique ON bookings (campaign_id, reference) WHERE status = 'active';
CREATE INDEX bookings_of_person ON bookings (campaign_id, person_id, created_at DESC) WHERE status <> 'void';
CREATE INDEX bookings_active_of_slot ON bookings (slot_id) WHERE status = 'active';

-- What happened to bookings, in order of commit per booking; the messages to citizens are made from it.
CREATE TABLE booking_events (
    event_id    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    flush_id    uuid        NOT NULL,
    campaign_id text        NOT NULL,
    booking_id  uuid        NOT NULL,
    kind        text        NOT NULL,
    actor_id    uuid        NOT NULL,
    happened_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT booking_events_kind_known CHECK (kind IN ('booked', 'moved', 'cancelled'))
);
CREATE INDEX booking_events_of_flush ON booking_events (flush_id);
