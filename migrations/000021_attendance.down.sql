DROP TABLE attendance_counts;
ALTER TABLE bookings DROP CONSTRAINT bookings_attendance_known;
ALTER TABLE bookings DROP COLUMN attendance, DROP COLUMN attended_at;
