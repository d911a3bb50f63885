-- Finds a booking that was cancelled by what its citizen reads out. Nothing that is booked is in it, so booking doesn't pay
-- for it; made beside the work, which is why it is alone in its file.
CREATE INDEX CONCURRENTLY IF NOT EXISTS bookings_cancelled_by_reference ON bookings (campaign_id, reference) WHERE status = 'cancelled';
