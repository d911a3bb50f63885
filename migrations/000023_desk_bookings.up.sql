-- What the desk booked, by the hold that it did it with, so that its share of a site's places on a day can be counted.
-- Whether a hold became a booking, and still is one, is in bookings.
CREATE TABLE desk_bookings (
    campaign_id text        NOT NULL,
    hold_id     uuid        NOT NULL,
    site_id     text        NOT NULL,
    day         date        NOT NULL,
    -- Until when a hold counts that nobody has decided.
    until       timestamptz NOT NULL,
    PRIMARY KEY (campaign_id, hold_id)
);
CREATE INDEX desk_bookings_of_day ON desk_bookings (campaign_id, site_id, day);
