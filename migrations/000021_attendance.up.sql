-- Who came. Attendance is a column of its own, so that active bookings stay what slots count.
ALTER TABLE bookings ADD COLUMN attendance text, ADD COLUMN attended_at timestamptz;
ALTER TABLE bookings ADD CONSTRAINT bookings_attendance_known CHECK (
    (attendance IS NULL) = (attended_at IS NULL) AND attendance IN ('arrived', 'no_show')) NOT VALID;
-- 31 validates it: here that would read the table while nobody may come to it.

-- How many came, counted as they come: a report costs what it shows, however many bookings there ever were.
CREATE TABLE attendance_counts (
    campaign_id text    NOT NULL,
    day         date    NOT NULL,
    site_id     text    NOT NULL,
    wave_id     text    NOT NULL,
    arrived     integer NOT NULL DEFAULT 0,
    no_show     integer NOT NULL DEFAULT 0,
    PRIMARY KEY (campaign_id, day, site_id, wave_id),
    CONSTRAINT attendance_counts_not_negative CHECK (arrived >= 0 AND no_show >= 0)
);
