ALTER TABLE bookings DROP CONSTRAINT bookings_attendance_known;
ALTER TABLE bookings ADD CONSTRAINT bookings_attendance_known CHECK (
    (attendance IS NULL) = (attended_at IS NULL) AND attendance IN ('arrived', 'no_show')) NOT VALID;
