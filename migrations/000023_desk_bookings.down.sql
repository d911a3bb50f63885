DROP TABLE desk_bookings;
