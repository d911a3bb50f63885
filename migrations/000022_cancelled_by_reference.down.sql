DROP INDEX CONCURRENTLY IF EXISTS bookings_cancelled_by_reference;
