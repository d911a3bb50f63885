-- What happened to bookings, one row a flush instead of one a booking: it is read whole, by whoever writes the messages.
-- booking_events stays for instances of the release before, which still write and read it while they are replaced.
CREATE TABLE flush_events (
    flush_id    uuid        PRIMARY KEY,
    campaign_id text        NOT NULL,
    -- Of equal length: what happened to which booking, and who asked for it.
    bookings    uuid[]      NOT NULL,
    kinds       text[]      NOT NULL,
    actors      uuid[]      NOT NULL,
    happened_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT flush_events_kinds_known CHECK (kinds <@ ARRAY['booked', 'moved', 'cancelled']),
    CONSTRAINT flush_events_are_whole CHECK (
        cardinality(bookings) > 0 AND cardinality(bookings) = cardinality(kinds) AND cardinality(kinds) = cardinality(actors))
);
