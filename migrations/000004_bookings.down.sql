DROP TABLE booking_events;
DROP TABLE bookings;
