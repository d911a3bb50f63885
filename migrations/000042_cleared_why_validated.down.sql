ALTER TABLE flush_events DROP CONSTRAINT flush_events_causes_known;
ALTER TABLE flush_events ADD CONSTRAINT flush_events_causes_known CHECK (
    causes IS NULL OR causes <@ ARRAY['', 'closed', 'fewer'] AND cardinality(causes) = cardinality(bookings)) NOT VALID;
ALTER TABLE message_templates DROP CONSTRAINT message_templates_kind_known;
ALTER TABLE message_templates ADD CONSTRAINT message_templates_kind_known CHECK (
    kind IN ('booked', 'moved', 'cancelled', 'reminder', 'moved_by_site', 'cancelled_by_site')) NOT VALID;
