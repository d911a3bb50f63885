-- One row a flush instead of one a booking: it is read whole, by whoever writes the messages, and never otherwise.
ALTER TABLE booking_events RENAME TO booking_events_before;
ALTER TABLE booking_events_before DROP CONSTRAINT booking_events_pkey;

CREATE TABLE booking_events (
    flush_id    uuid        PRIMARY KEY,
    campaign_id text        NOT NULL,
    -- Of equal length: what happened to which booking, and who asked for it.
    bookings    uuid[]      NOT NULL,
    kinds       text[]      NOT NULL,
    actors      uuid[]      NOT NULL,
    happened_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT booking_events_kinds_known CHECK (kinds <@ ARRAY['booked', 'moved', 'cancelled']),
    CONSTRAINT booking_events_are_whole CHECK (
        cardinality(bookings) > 0 AND cardinality(bookings) = cardinality(kinds) AND cardinality(kinds) = cardinality(actors))
);

INSERT INTO booking_events (flush_id, campaign_id, bookings, kinds, actors, happened_at)
SELECT flush_id, campaign_id, array_agg(booking_id ORDER BY event_id), array_agg(kind ORDER BY event_id),
    array_agg(actor_id ORDER BY event_id), min(happened_at)
FROM booking_events_before GROUP BY flush_id, campaign_id;
DROP TABLE booking_events_before;
