ALTER TABLE booking_events RENAME TO booking_events_after;
ALTER TABLE booking_events_after DROP CONSTRAINT booking_events_pkey;

CREATE TABLE booking_events (
    event_id    bigint      GENERATED ALWAYS AS IDENTITY,
    flush_id    uuid        NOT NULL,
    campaign_id text        NOT NULL,
    booking_id  uuid        NOT NULL,
    kind        text        NOT NULL,
    actor_id    uuid        NOT NULL,
    happened_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT booking_events_kind_known CHECK (kind IN ('booked', 'moved', 'cancelled')),
    PRIMARY KEY (flush_id, event_id)
);
INSERT INTO booking_events (flush_id, campaign_id, booking_id, kind, actor_id, happened_at)
SELECT flush_id, campaign_id, e.booking, e.kind, e.actor, happened_at
FROM booking_events_after, unnest(bookings, kinds, actors) AS e(booking, kind, actor) ORDER BY happened_at;
DROP TABLE booking_events_after;
